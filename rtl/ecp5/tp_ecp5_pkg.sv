// SPDX-License-Identifier: Apache-2.0
//
// tp_ecp5_pkg: how a memory is cut into block RAMs.
//
// A block RAM is 512 words of 36 bits, 1024 of 18, 2048 of 9, 4096 of 4, 8192 of 2 or 16384 of 1:
// shapes 0 to 5. A memory is a list of segments one above the other, each as high as its shape and
// as many block RAMs wide as the width needs; shapes are used from the highest one (first) to the
// flattest one (last), so that each segment begins at a multiple of its height. Of all first and
// last, the plan takes the fewest block RAMs, and among these the fewest segments, because a
// multiplexer behind them chooses one.

package tp_ecp5_pkg;

  typedef struct packed {
    int unsigned first;
    int unsigned last;
    int unsigned segments;
    int unsigned blocks;
  } plan_t;

  typedef struct packed {
    int unsigned shape;
    int unsigned base;   // its first word
  } segment_t;

  function automatic int unsigned shape_width(input int unsigned shape);
    shape_width = (shape <= 2 ? 36 : 32) >> shape;
  endfunction

  function automatic int unsigned shape_words(input int unsigned shape);
    shape_words = 512 << shape;
  endfunction

  // The next segment is as high as fits between base and depth, but not flatter than last.
  function automatic int unsigned next_shape(input int unsigned shape, input int unsigned last,
                                             input int unsigned left);
    next_shape = shape;
    while (next_shape > last && left < shape_words(next_shape)) next_shape--;
  endfunction

  function automatic segment_t segment(input int unsigned depth, input int unsigned first,
                                       input int unsigned last, input int unsigned number);
    segment = '{shape: next_shape(first, last, depth), base: 0};
    for (int unsigned i = 0; i < number; i++) begin
      segment.base += shape_words(segment.shape);
      segment.shape = next_shape(segment.shape, last, depth - segment.base);
    end
  endfunction

  function automatic plan_t best_plan(input int unsigned width, input int unsigned depth);
    plan_t tried;
    int unsigned base;
    int unsigned shape;
    best_plan = '1;
    for (int unsigned first = 0; first <= 5; first++) begin
      for (int unsigned last = 0; last <= first; last++) begin
        tried = '{first: first, last: last, segments: 0, blocks: 0};
        base  = 0;
        shape = first;
        while (base < depth) begin
          shape = next_shape(shape, last, depth - base);
          base += shape_words(shape);
          tried.segments++;
          tried.blocks += (width + shape_width(shape) - 1) / shape_width(shape);
        end
        if (tried.blocks < best_plan.blocks ||
            (tried.blocks == best_plan.blocks && tried.segments < best_plan.segments)) begin
          best_plan = tried;
        end
      end
    end
  endfunction

endpackage
