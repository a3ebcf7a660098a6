// SPDX-License-Identifier: Apache-2.0
//
// tp_control_pkg: types that the parts of tp_control share.

package tp_control_pkg;
  // A write to the slot table: word 0..11 of the payload of a SLOT frame.
  typedef struct packed {
    logic [2:0]  slot;
    logic [3:0]  index;
    logic [31:0] data;
  } table_write_t;

  // One token for a slot's queue, so many places behind the tokens that are already in it.
  typedef struct packed {
    logic [2:0]  slot;
    logic [6:0]  offset;
    logic [15:0] token;
  } queue_write_t;

  // A slot begins its run.
  typedef struct packed {
    logic [2:0] slot;
    logic hold;
    logic [31:0] count;
  } run_t;

  // Steps may begin while their number is before `limit`.
  typedef struct packed {
    logic        limited;
    logic [15:0] limit;
  } credit_t;

  // Events in the queue: words of a payload, each with the kind of its event.
  typedef enum logic [1:0] {
    EventToken = 2'd0,
    EventStep  = 2'd1,
    EventDone  = 2'd2
  } event_kind_e;

  typedef struct packed {
    event_kind_e kind;
    logic [31:0] data;
  } event_word_t;

  localparam int unsigned TokenWords = 2;
  localparam int unsigned StepWords = 7;
  localparam int unsigned DoneWords = 1;

  // Counts of one section of the steps; they stop at TP_SECTION_COUNT_MAX.
  typedef struct packed {
    logic [2:0][4:0] exponent_max;  // by source
    logic [23:0]     clips;
    logic [23:0]     saturations;
  } section_t;

  // Sums since reset that STATISTICS reports.
  typedef struct packed {
    logic [63:0] clips;
    logic [63:0] saturations;
    logic [63:0] tokens;
    logic [63:0] steps;
    logic [63:0] cycles_steps;
    logic [63:0] cycles_total;
  } statistics_t;
endpackage
