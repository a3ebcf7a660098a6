// SPDX-License-Identifier: Apache-2.0
//
// tp_top_sim behind the C functions of sim_device.h. unit.inc includes all files that Verilator
// made of it.

#include "sim_device.h"

#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "unit.inc"
#include "verilated.h"
#include "verilated_sym_props.h"
#if VM_TRACE
#include "tp_map.h"
#include "verilated_fst_c.h"

extern "C" {
#include "frame.h"
}
#endif

namespace
{

// Cycles without a byte after which a device that has given bytes is left alone.
constexpr uint64_t kQuietCycles = 16;
// Cycles of idleness in a row after which the device waits for the host.
constexpr uint64_t kIdleCycles = 64;
constexpr uint64_t kResetCycles = 8;

}  // namespace

struct tp_sim {
    VerilatedContext context;
    std::unique_ptr<Vsim> model;
    bool idle = false;  // at the end of the last run
#if VM_TRACE
    std::unique_ptr<VerilatedFstC> trace;
    tp_frame_decoder sent = {};   // by the host
    tp_frame_decoder heard = {};  // from the device
    uint32_t wave_step = 0;
    uint32_t steps = 0;  // that the device has told of
    bool runs = false;   // the host has sent a RUN

    // The first step begins with a RUN, every other one before the STEP of the last one is out.
    bool is_wanted() const
    {
        return runs && steps <= wave_step && steps + 2 > wave_step;
    }

    void watch_sent(uint8_t byte)
    {
        tp_frame frame;
        if (trace && tp__frame_decode(&sent, byte, &frame)) runs |= frame.type == TP_FRAME_RUN;
    }

    void watch_heard(uint8_t byte)
    {
        tp_frame frame;
        if (trace && tp__frame_decode(&heard, byte, &frame)) steps += frame.type == TP_FRAME_STEP;
    }
#endif

    void evaluate()
    {
        model->eval();
#if VM_TRACE
        if (trace && is_wanted()) trace->dump(context.time());
#endif
        context.timeInc(1);
    }

    // Inputs that were set are seen by this rising edge; outputs are right after it.
    void tick()
    {
        model->clk_i = 1;
        evaluate();
        model->clk_i = 0;
        evaluate();
    }
};

namespace
{

tp_sim *create(uint64_t seed, const char *wave, uint32_t wave_step)
{
    tp_sim *sim = new (std::nothrow) tp_sim();
    if (!sim) return nullptr;
    sim->context.randReset(2);
    // Verilator wants a positive 31-bit seed; 0 would mean "take the time".
    sim->context.randSeed(static_cast<int>(1 + (seed * 2654435761u) % 2147483646u));
#if VM_TRACE
    if (wave) sim->context.traceEverOn(true);
#endif
    sim->model.reset(new (std::nothrow) Vsim(&sim->context, "core"));
    if (!sim->model) {
        delete sim;
        return nullptr;
    }
#if VM_TRACE
    if (wave) {
        sim->trace = std::make_unique<VerilatedFstC>();
        sim->model->trace(sim->trace.get(), 99);
        sim->trace->open(wave);
    }
    sim->wave_step = wave_step;
#else
    (void)wave;
    (void)wave_step;
#endif
    sim->model->clk_i = 0;
    sim->model->rst_ni = 0;
    sim->model->in_valid_i = 0;
    sim->model->in_data_i = 0;
    sim->model->out_ready_i = 0;
    sim->evaluate();
    for (uint64_t i = 0; i < kResetCycles; i++) sim->tick();
    sim->model->rst_ni = 1;
    sim->evaluate();
    return sim;
}

void destroy(tp_sim *sim)
{
    if (!sim) return;
    sim->model->final();
#if VM_TRACE
    if (sim->trace) sim->trace->close();
#endif
    delete sim;
}

uint64_t run(tp_sim *sim, uint64_t cycles, const uint8_t *out, size_t out_count, size_t *out_taken,
             uint8_t *in, size_t in_max, size_t *in_count)
{
    Vsim *model = sim->model.get();
    size_t taken = 0;
    size_t given = 0;
    uint64_t quiet = 0;
    uint64_t idle = 0;
    uint64_t cycle = 0;
    while (cycle < cycles) {
        // A byte moves at the edge when both sides showed it before the edge.
        const bool sends = taken < out_count;
        const bool takes = given < in_max;
        if (model->out_valid_o && !takes) break;
        model->in_valid_i = sends;
        model->in_data_i = sends ? out[taken] : 0;
        model->out_ready_i = takes;
#if VM_TRACE
        if (sends && model->in_ready_o) sim->watch_sent(out[taken]);
        if (model->out_valid_o) sim->watch_heard(model->out_data_o);
#endif
        taken += sends && model->in_ready_o;
        quiet++;
        if (model->out_valid_o) {
            in[given++] = model->out_data_o;
            quiet = 0;
        }
        idle = model->idle_o && !sends ? idle + 1 : 0;
        sim->tick();
        cycle++;
        if (idle >= kIdleCycles) break;
        if (given > 0 && taken == out_count && quiet >= kQuietCycles) break;
    }
    *out_taken = taken;
    *in_count = given;
    sim->idle = idle >= kIdleCycles;
    return cycle;
}

bool is_idle(const tp_sim *sim)
{
    return sim->idle;
}

// The array of a memory; memories.vlt has Verilator keep the names. Those of tp_ram have a block
// between.
VerilatedVar *find_memory(const tp_sim *sim, const char *name)
{
    for (const char *inner : {".gen_block.u_ram", ""}) {
        const std::string path = std::string("core.tp_top_sim.u_core.") + name + inner;
        const VerilatedScope *scope = sim->context.scopeFind(path.c_str());
        VerilatedVar *found = scope ? scope->varFind("memory") : nullptr;
        if (found) return found;
    }
    return nullptr;
}

// Verilator keeps a word in one number of 8, 16, 32 or 64 bits, or in numbers of 32 bits, the
// lowest first: on a little-endian machine its bytes lie in order.
bool memory(tp_sim *sim, const char *name, uint32_t word, uint8_t *value, size_t bytes, bool write)
{
    const VerilatedVar *const found = find_memory(sim, name);
    if (!found || word >= static_cast<uint32_t>(found->unpacked().elements())) return false;
    const size_t size = found->entSize();
    const size_t used = (found->packed().elements() + 7) / 8;
    if (used > bytes) return false;
    uint8_t *const at = static_cast<uint8_t *>(found->datap()) + word * size;
    if (!write) {
        std::memset(value, 0, bytes);
        std::memcpy(value, at, used);
        return true;
    }
    std::memcpy(at, value, used);
    // Bits beyond the width are always 0.
    const int rest = found->packed().elements() % 8;
    if (rest != 0) at[used - 1] &= static_cast<uint8_t>((1u << rest) - 1);
    return true;
}

}  // namespace

extern "C" const struct tp_sim_entry tp_sim_entry = {TP_SIM_ABI, TP_CONFIG_NAME, create, destroy,
                                                     run,        is_idle,        memory};
