# Quire. `make run` boots and runs a demonstration, `make test` runs every test; `make help` lists the rest.
#
# B=DIR builds elsewhere; CC=clang builds with clang; V=1 shows the commands.

B  ?= build
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
Q  := $(if $(V),,@)

# --- what is compiled -------------------------------------------------------------------------------

MM     := $(wildcard mm/*.c mm/*/*.c)
LIB    := $(wildcard lib/*.c)
ARCH   := $(wildcard arch/x86_64/*.c arch/x86_64/*.S)
KERNEL := $(MM) $(LIB) $(ARCH) $(wildcard kernel/*.c fs/*.c drivers/*.c)
UNIT   := test/unit/runner.c test/unit/soak.c test/unit/property.c $(wildcard test/unit/lib/*_test.c test/unit/mm/*/*_test.c)
KTEST  := $(wildcard test/unit/kernel/*.c)
HOST   := $(wildcard host/*.c) test/unit/main_host.c test/unit/host_machine.c
HOST64 := $(HOST) host/embed/layout.c $(wildcard test/unit/host/*.c)
# On the 32-bit machine: what does not count on 64-bit longs, gigabytes of kernel addresses or tables of 512 entries.
UNIT32 := $(filter-out %/format_test.c %/vmalloc_test.c %/pt_test.c,$(UNIT))
HOST32 := $(HOST) host/embed32/layout.c $(wildcard test/unit/host32/*_test.c)
CMD    := $(wildcard cmd/quire/*.c)
HLIB   := $(filter-out lib/string.c,$(LIB))

WARN := -Wall -Wextra -Werror $(if $(findstring clang,$(CC)),,-Wshadow=local) -Wundef -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-missing-field-initializers
CORE := -Wconversion -Wno-sign-conversion
INC  := -I. -Iinclude

# The kernel: no red zone (interrupts use the stack), no FPU, linked in the top 2 GB.
KFLAGS := -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-pie -mcmodel=kernel -mno-red-zone -mgeneral-regs-only \
	  -fno-stack-protector -fno-asynchronous-unwind-tables -fno-omit-frame-pointer -fno-strict-aliasing \
	  -fno-common -ffunction-sections -fdata-sections $(WARN) -Iarch/x86_64/embed $(INC)

# The hosted machine, under sanitizers.
SAN    ?= -fsanitize=address,undefined -fno-sanitize-recover=undefined
HFLAGS := -std=gnu11 -O1 -g -fno-omit-frame-pointer -fno-strict-aliasing $(SAN) $(WARN) -Ihost/embed $(INC)

CFLAGS_CMD := -std=gnu11 -O2 -g $(WARN) $(INC)

# x.c -> x.o, x.S -> x.S.o: a file of each name may exist.
kobj = $(addprefix $(B)/k/,$(patsubst %.S,%.S.o,$(patsubst %.c,%.o,$(1))))
hobj = $(addprefix $(B)/h/,$(patsubst %.c,%.o,$(1)))
h32obj = $(addprefix $(B)/h32/,$(patsubst %.c,%.o,$(1)))

.PHONY: all kernel user run test unit unit32 unit-tsan unit-sched guest-test clean help format abi packages-run packages-test
all: quire $(B)/quire.elf $(B)/quire-test.elf

help:
	@echo 'make run     install what is missing (as root), build, boot, run the demonstration'
	@echo 'make test    every test; closes with "N passed, N failed"'
	@echo 'make         build the command ./quire and the kernel'
	@echo 'make unit    only the hosted unit tests; UNIT_ARGS="filter" chooses'
	@echo 'make unit32  the same on the hosted 32-bit machine, with high memory'
	@echo 'make unit-tsan    them under the thread sanitizer'
	@echo 'make unit-sched   them with a schedule that may switch CPUs at every access; doc/testing.md'
	@echo 'make format  clang-format over the tree'
	@echo 'make doc/abi.md doc/events.md   the lists of system calls, counters and events'

# --- the kernel -------------------------------------------------------------------------------------

kernel: $(B)/quire.elf
KLINK = $(CC) -nostdlib -static -no-pie -Wl,-T,arch/x86_64/quire.ld -Wl,--gc-sections -Wl,--build-id=none \
	-Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments -o $@ $(filter %.o,$^)

# Linked once without names for its functions, and once with those that the first link tells; kernel/kallsyms.c.
KELF := $(B)/quire.elf $(B)/quire-test.elf
$(B)/quire.elf $(B)/quire.nameless: $(call kobj,$(KERNEL))
$(B)/quire-test.elf $(B)/quire-test.nameless: $(call kobj,$(KERNEL) $(UNIT) $(KTEST))

$(KELF:.elf=.nameless): $(B)/nameless.kallsyms.o arch/x86_64/quire.ld
	$(Q)$(KLINK) -Wl,--strip-debug
$(KELF): $(B)/%.elf: $(B)/%.kallsyms.o arch/x86_64/quire.ld
	@echo "  LD      $@"
	$(Q)$(KLINK)
	$(Q)scripts/kallsyms.sh $@ | cmp - $(B)/$*.kallsyms.S || \
		{ rm -f $@ $(B)/$*.kallsyms.[So]; echo "$@: its table names other addresses"; exit 1; }

# Text and object in one step: an object that is older than its text would pass the comparison.
$(B)/nameless.kallsyms.o: scripts/kallsyms.sh
	@mkdir -p $(@D)
	$(Q)scripts/kallsyms.sh > $(@:.o=.S) && $(CC) -c $(@:.o=.S) -o $@
$(B)/%.kallsyms.o: $(B)/%.nameless scripts/kallsyms.sh
	$(Q)scripts/kallsyms.sh $< > $(@:.o=.S) && $(CC) -c $(@:.o=.S) -o $@

$(B)/k/mm/%.o $(B)/k/lib/%.o: KFLAGS += $(CORE)
$(B)/k/lib/string.o: KFLAGS += -fno-builtin $(if $(findstring clang,$(CC)),,-fno-tree-loop-distribute-patterns)
$(B)/k/test/%.o: KFLAGS += -O1

$(B)/k/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(KFLAGS) -MMD -MP -c $< -o $@
$(B)/k/%.S.o: %.S
	@mkdir -p $(@D)
	$(Q)$(CC) $(KFLAGS) -D__ASSEMBLER__ -MMD -MP -c $< -o $@

# --- the hosted machine and its tests ---------------------------------------------------------------

# Sleeping locks and allocations go through host/lockdep.c.
comma := ,
WRAP := $(addprefix -Wl$(comma)--wrap=,init_rwsem down_read down_read_trylock up_read down_write down_write_killable \
	down_write_trylock up_write mutex_init mutex_lock mutex_trylock mutex_unlock lock_page trylock_page unlock_page \
	alloc_pages __kmem_cache_alloc kmem_cache_zalloc __kmalloc kmalloc_special kmalloc_trace)

$(B)/unit: $(call hobj,$(MM) $(HLIB) $(HOST64) $(UNIT))
	@echo "  LD      $@"
	$(Q)$(CC) $(SAN) $(WRAP) -o $@ $^ -lpthread

$(B)/h/mm/%.o $(B)/h/lib/%.o: HFLAGS += $(CORE)
$(foreach d,h t s,$(B)/$(d)/host/lockdep.o): HFLAGS += -foptimize-sibling-calls
$(B)/h/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(HFLAGS) -MMD -MP -c $< -o $@

unit: $(B)/unit
	$(B)/unit $(UNIT_ARGS)

# The same under the thread sanitizer, in $(B)/t.
tobj := $(addprefix $(B)/t/,$(patsubst %.c,%.o,$(MM) $(HLIB) $(HOST64) $(UNIT)))
TFLAGS = $(filter-out $(SAN),$(HFLAGS)) -fsanitize=thread
$(B)/unit-tsan: $(tobj)
	@echo "  LD      $@"
	$(Q)$(CC) -fsanitize=thread $(WRAP) -o $@ $^ -lpthread
$(B)/t/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(TFLAGS) -MMD -MP -c $< -o $@

# Every access to shared memory a point of the schedule: instrumented as for the thread sanitizer, without its runtime.
SPLAIN := $(wildcard host/*.c host/embed/*.c host/instrument/*.c) test/unit/main_host.c test/unit/runner.c
sobj := $(addprefix $(B)/s/,$(patsubst %.c,%.o,$(sort $(MM) $(HLIB) $(HOST64) $(UNIT) $(SPLAIN))))
SFLAGS = $(filter-out $(SAN),$(HFLAGS))
$(B)/unit-sched: $(sobj)
	@echo "  LD      $@"
	$(Q)$(CC) $(WRAP) -o $@ $^ -lpthread
$(filter-out $(addprefix $(B)/s/,$(SPLAIN:.c=.o)),$(sobj)): SFLAGS += -fsanitize=thread
$(B)/s/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(SFLAGS) -MMD -MP -c $< -o $@

unit-sched: $(B)/unit-sched
	$(B)/unit-sched $(UNIT_ARGS)

unit-tsan: $(B)/unit-tsan
	$(B)/unit-tsan $(UNIT_ARGS)

# The same sources on the hosted 32-bit machine: high memory, two-level tables. No PIE: lockdep.c's jumps need that.
H32FLAGS = -m32 -fno-pie -std=gnu11 -O1 -g -fno-omit-frame-pointer -fno-strict-aliasing -D_FILE_OFFSET_BITS=64 $(SAN) \
	   $(WARN) $(if $(findstring clang,$(CC)),,-Wno-psabi) -Ihost/embed32 $(INC)

$(B)/unit32: $(call h32obj,$(MM) $(HLIB) $(HOST32) $(UNIT32))
	@echo "  LD      $@"
	$(Q)$(CC) -m32 -no-pie $(SAN) $(WRAP) -o $@ $^ -lpthread

$(B)/h32/mm/%.o $(B)/h32/lib/%.o: H32FLAGS += $(CORE)
$(B)/h32/host/lockdep.o: H32FLAGS += -foptimize-sibling-calls
# unit.h compares pointers as 64-bit numbers
$(B)/h32/test/%.o: H32FLAGS += -Wno-pointer-to-int-cast -Wno-int-to-pointer-cast
$(B)/h32/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(H32FLAGS) -MMD -MP -c $< -o $@

unit32: $(B)/unit32
	$(B)/unit32 $(UNIT_ARGS)

# --- measurements of the hosted machine: the same files, optimised, no sanitizers ------------------------

BFLAGS := -std=gnu11 -O2 -g -fno-pie -ftls-model=local-exec -fno-strict-aliasing $(WARN) -Ihost/embed $(INC)
bobj    = $(addprefix $(B)/b/,$(patsubst %.c,%.o,$(1)))

$(B)/bench/%: $(B)/b/bench/%.o $(call bobj,$(MM) $(HLIB) $(wildcard host/*.c) host/embed/layout.c)
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CC) -no-pie -o $@ $^ -lpthread

$(B)/b/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(BFLAGS) -MMD -MP -c $< -o $@
.SECONDARY:

# --- the command ------------------------------------------------------------------------------------

quire: $(patsubst %.c,$(B)/c/%.o,$(CMD))
	@echo "  LD      $@"
	$(Q)$(CC) -o $@ $^

$(B)/c/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_CMD) -MMD -MP -c $< -o $@

# --- programs for the guest -------------------------------------------------------------------------

# Static glibc unless the name says otherwise: hello and threads exist in every kind that Linux loads.
USER  := $(patsubst user/%.c,$(B)/user/%,$(wildcard user/*.c))
KINDS := $(foreach p,hello threads,$(addprefix $(B)/user/$(p)-,static-pie dynamic musl musl-dynamic))
UCFLAGS := -std=gnu11 -O1 -g -Wall -Wextra -Werror -pthread

define user_rule
$$(B)/user/%$(1): user/%.c
	@mkdir -p $$(@D)
	$$(Q)$(2) $$(UCFLAGS) $(3) -MMD -MP -MF $$@.d -o $$@ $$<
endef
$(eval $(call user_rule,-static-pie,$$(CC),-static-pie))
$(eval $(call user_rule,-dynamic,$$(CC),))
$(eval $(call user_rule,-musl,musl-gcc,-static))
$(eval $(call user_rule,-musl-dynamic,musl-gcc,))
$(eval $(call user_rule,,$$(CC),-static))

user: $(USER) $(KINDS)

# --- the two commands -------------------------------------------------------------------------------

packages-run packages-test: packages-%:
	@scripts/packages.sh $*

run: packages-run
	@$(MAKE) --no-print-directory all
	@scripts/demo.sh

test: packages-test
	@$(MAKE) --no-print-directory all user $(B)/unit $(B)/unit32 $(B)/unit-tsan $(B)/unit-sched
	@B=$(B) test/run.sh

doc/events.md: mm/trace/events.def scripts/events.sh
	scripts/events.sh > $@

doc/abi.md: kernel/syscall.def scripts/abi.sh
	scripts/abi.sh > $@

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

clean:
	rm -rf $(B) quire

-include $(shell find $(B) -name '*.d' 2>/dev/null)
