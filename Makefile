# agentd: build, test, install. `make help` lists the targets. Everything is built below $(B).
# Rooms are found by their folders; a new .c file in a room needs no change here.

CC      ?= gcc
ifeq ($(origin CC),default)
CC      := gcc
endif
MUSLCC  ?= musl-gcc
SAN     ?=
B       ?= build$(if $(SAN),-san,)
PREFIX  ?= /usr/local
DESTDIR ?=
V       ?=
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-6s %s\n' '$(1)' '$(2)')

WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wvla -Wformat=2 -Wconversion -Werror
HARDEN  := -fPIE -fstack-protector-strong -fstack-clash-protection \
           $(if $(filter x86_64,$(shell uname -m)),-fcf-protection) -ftrivial-auto-var-init=zero
FORTIFY := $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
DEFS    := -D_GNU_SOURCE -I. -I$(B)/gen -DAGENTD_VERSION='"0.1.0"' -DAGENTD_PREFIX='"$(PREFIX)"'
# gcc warns of uninitialised values wrongly where sanitizers are compiled in; without them it still warns.
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer -Wno-maybe-uninitialized,)
CFLAGS  ?= -O2 -g
ALL_CFLAGS := -std=gnu17 $(CFLAGS) $(WARN) $(HARDEN) $(FORTIFY) $(DEFS) $(SANFLAGS) -MMD -MP
LDFLAGS ?=
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed $(SANFLAGS) $(LDFLAGS)
# Programs that start once per action are static musl: start-up 0.1 ms instead of 1 (docs/benchmarks.md).
MUSL_CFLAGS := -std=gnu17 $(CFLAGS) $(WARN) -fno-pie -fstack-protector-strong -ftrivial-auto-var-init=zero \
           $(DEFS) -DAGENTD_MUSL -MMD -MP \
           -idirafter /usr/include -idirafter /usr/include/$(shell uname -m)-linux-gnu
MUSL_LDFLAGS := -static -no-pie -Wl,-z,relro,-z,now,-z,noexecstack

pc = $(shell pkg-config $(1) $(2) 2>/dev/null)
SUP_LIBS    := $(call pc,--libs,libseccomp libcap libsodium)
ROLE_LIBS   := $(call pc,--libs,libevent jansson yaml-0.1 libsodium libseccomp)
TOOL_LIBS   := $(call pc,--libs,jansson yaml-0.1 libsodium libevent libpsl) -lm
TEST_LIBS   := $(call pc,--libs,check libevent jansson yaml-0.1 libsodium libseccomp libcap libpsl) -lm

src      = $(sort $(wildcard $(foreach d,$(1),$(d)/*.c)))
obj      = $(patsubst %.c,$(B)/obj/%.o,$(1))
muslobj  = $(patsubst %.c,$(B)/musl/%.o,$(1))

COMMON   := $(call src,common)
# What of common/ does not need more than libc, and so also goes into the musl programs.
COMMON_MUSL := $(COMMON)
POLICY   := $(call src,policy policy/automata policy/kinds policy/shell policy/suggest)
AUDIT    := $(call src,audit)
SUP      := $(call src,supervisor supervisor/killer)
INIT     := $(call src,supervisor/init)
ROLES    := $(call src,agentd agentd/broker agentd/recorder)
CTL      := $(call src,agentctl)
CTLTOOLS := $(call src,agentctl/tools) agentctl/place.c
UNIT     := $(call src,tests/unit)
FUZZ     := $(call src,tests/fuzz)
PROBES   := $(call src,tests/conformance)

BINS := $(B)/agentd-supervisor $(B)/agentd $(B)/agentd-init $(B)/agentctl $(B)/agentctl-tools

all: $(BINS)

$(B)/libcommon.a: $(call obj,$(COMMON))
$(B)/libpolicy.a: $(call obj,$(POLICY))
$(B)/libaudit.a: $(call obj,$(AUDIT))
$(B)/musl/libcommon.a: $(call muslobj,$(COMMON_MUSL))
$(B)/%.a:
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcsD $@ $^

$(B)/obj/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -c -o $@ $<
$(B)/musl/%.o: %.c
	$(call say,MUSL,$<)
	$(Q)mkdir -p $(@D) && $(MUSLCC) $(MUSL_CFLAGS) -c -o $@ $<

$(B)/agentd-supervisor: $(call obj,$(SUP)) $(B)/libcommon.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(SUP_LIBS)
$(B)/agentd: $(call obj,$(ROLES)) $(B)/libpolicy.a $(B)/libaudit.a $(B)/libcommon.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ROLE_LIBS)
$(B)/agentd-init: $(call muslobj,$(INIT)) $(B)/musl/libcommon.a
	$(call say,LD,$@)
	$(Q)$(MUSLCC) $(MUSL_LDFLAGS) -o $@ $^
$(B)/agentctl: $(call muslobj,$(CTL)) $(B)/musl/libcommon.a
	$(call say,LD,$@)
	$(Q)$(MUSLCC) $(MUSL_LDFLAGS) -o $@ $^
$(B)/agentctl-tools: $(call obj,$(CTLTOOLS)) $(B)/libpolicy.a $(B)/libaudit.a $(B)/libcommon.a
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(TOOL_LIBS)

# Unit tests: each tests/unit/NAME.c is one Check program. It may use every library, and the objects of
# the daemons that have no main of their own (the files named main.c are left out).
DAEMON_PARTS := $(filter-out %/main.c,$(ROLES) $(SUP))
$(B)/libdaemons.a: $(call obj,$(DAEMON_PARTS))
UNIT_BINS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(UNIT))
$(B)/tests/unit/%: $(B)/obj/tests/unit/%.o $(B)/libdaemons.a $(B)/libpolicy.a $(B)/libaudit.a $(B)/libcommon.a
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_LDFLAGS) -o $@ $^ $(TEST_LIBS)
PROBE_BINS := $(patsubst tests/conformance/%.c,$(B)/tests/conformance/%,$(PROBES))
$(B)/tests/conformance/%: tests/conformance/%.c
	$(call say,MUSL,$<)
	$(Q)mkdir -p $(@D) && $(MUSLCC) $(MUSL_CFLAGS) $(MUSL_LDFLAGS) -o $@ $<

include tools/targets.mk

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.PHONY: all
.SECONDARY:
