# The targets that are not the build itself: packages, tests, lint, install, demo.
# Every test target closes with one line "NAME: N passed, N failed[, N skipped]"; `make check` adds
# these up.

C_FILES := $(sort $(shell find supervisor agentd policy audit agentctl common tests bench \
             -name '*.[ch]' 2>/dev/null))
SH_FILES := examples/git-hooks/pre-commit tools/deps tools/run-unit tools/fuzz tools/bench .ci/run $(wildcard bench/*/run)
PY_FILES := $(sort tools/check tools/demo tools/vm-try tests/run $(wildcard tests/lib/*.py tests/integration/*.py \
             tests/conformance/*.py tests/e2e/*.py))
MANPAGES := $(sort $(wildcard docs/man/*.[158]))

help:
	@echo 'make [all]        build everything below build/'
	@echo 'make check        format-check lint unit integration conformance e2e (root; installs packages)'
	@echo 'make demo         a private instance, shown in plain words (root; installs packages)'
	@echo '                  AGENT=claude-code: with the real agent instead of a scripted one'
	@echo 'make unit | integration | conformance | e2e     one kind of test (K=WORD: only matching tests)'
	@echo 'make lint | format | format-check | bench | fuzz (FUZZ_SECONDS=60)'
	@echo 'make install | uninstall                        PREFIX=/usr/local DESTDIR='
	@echo 'make deps | clean'
	@echo 'SAN=address,undefined builds with sanitizers in build-san/; V=1 shows the commands'

# ---- packages -------------------------------------------------------------------------------------

deps:
	@tools/deps build test
# Nothing is compiled before the packages are known to be there, and it is asked only once.
DEPS_OK := $(B)/.deps-build
$(DEPS_OK): tools/deps
	@tools/deps --check build
	@mkdir -p $(@D) && touch $@
ALL_C_SRC := $(sort $(COMMON) $(POLICY) $(AUDIT) $(SUP) $(INIT) $(ROLES) $(CTL) $(CTLTOOLS) $(UNIT))
$(call obj,$(ALL_C_SRC)) $(call muslobj,$(COMMON) $(INIT) $(CTL)): | $(DEPS_OK)

# ---- tests ----------------------------------------------------------------------------------------

# What sudo built belongs to the user afterwards, whose next plain make writes there.
GIVE_BACK := [ -z "$$SUDO_UID" ] || chown -R "$$SUDO_UID:$$SUDO_GID" $(B)

# As root the packages come first, in a make of their own: the flags of the libraries are asked for
# when a makefile is read.
check:
	@tools/deps build test
	@AGENTD_CHECK=1 MAKE='$(MAKE)' B='$(B)' tools/check format-check lint unit integration conformance e2e; code=$$?; $(GIVE_BACK); exit $$code

unit: $(UNIT_BINS)
	@tools/run-unit $(UNIT_BINS)
integration: all $(PROBE_BINS)
	@BUILD=$(B) tests/run --label integration $(if $(K),-k $(K)) tests/integration
conformance: all $(PROBE_BINS)
	@BUILD=$(B) tests/run --label conformance $(if $(K),-k $(K)) tests/conformance
e2e: all
	@BUILD=$(B) tests/run --label e2e $(if $(K),-k $(K)) tests/e2e

demo:
	@tools/deps build
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@BUILD=$(B) tools/demo $(if $(AGENT),--agent $(AGENT))
	@$(GIVE_BACK)

BENCH := $(call src,bench)
BENCH_BINS := $(patsubst bench/%.c,$(B)/bench/%,$(BENCH))
$(B)/bench/%: $(B)/obj/bench/%.o $(B)/libdaemons.a $(B)/libpolicy.a $(B)/libaudit.a $(B)/libcommon.a
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_LDFLAGS) -o $@ $^ $(TEST_LIBS)
bench: all $(BENCH_BINS)
	@BUILD=$(B) tools/bench launch hook kill audit policy

# Each target is built whole by clang, so that every library under test is instrumented.
FUZZ_SECONDS ?= 60
FUZZ_CFLAGS := -std=gnu17 -O1 -g $(DEFS) -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
FUZZ_BINS := $(patsubst tests/fuzz/%.c,build-fuzz/%,$(FUZZ))
FUZZ_SRC := $(COMMON) $(POLICY) $(AUDIT) $(DAEMON_PARTS) $(filter-out %/main.c,$(CTLTOOLS))
FUZZ_OBJ := $(patsubst %.c,build-fuzz/obj/%.o,$(FUZZ_SRC))
build-fuzz/obj/%.o: %.c
	$(call say,FUZZ,$<)
	$(Q)mkdir -p $(@D) && clang $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -c -MMD -MP -o $@ $<
build-fuzz/libfuzzed.a: $(FUZZ_OBJ)
	$(Q)rm -f $@ && ar rcsD $@ $^
build-fuzz/%: tests/fuzz/%.c build-fuzz/libfuzzed.a
	$(call say,FUZZ,$<)
	$(Q)clang $(FUZZ_CFLAGS) -MMD -MP -MT $@ -MF $@.d -o $@ $< build-fuzz/libfuzzed.a $(TEST_LIBS)
-include $(shell find build-fuzz -name '*.d' 2>/dev/null)
fuzz-bins: $(FUZZ_BINS)
fuzz:
	@tools/deps build test fuzz
	@$(MAKE) --no-print-directory -j$$(nproc) fuzz-bins
	@tools/fuzz $(FUZZ_SECONDS) $(FUZZ_BINS)

# ---- lint -----------------------------------------------------------------------------------------

# One stamp a file and tool; the header dependencies come from the compiler. What starts inside a
# sandbox or once per action is looked at with musl's headers, as it is built.
MUSL_DIR := $(firstword $(wildcard /usr/include/$(shell uname -m)-linux-musl /usr/lib/musl/include))
TIDY_FLAGS = -std=gnu17 $(WARN) $(DEFS)
TIDY_MUSL_FLAGS = $(TIDY_FLAGS) -DAGENTD_MUSL -nostdlibinc -isystem $(MUSL_DIR) \
             -idirafter /usr/include -idirafter /usr/include/$(shell uname -m)-linux-gnu
is_musl = $(filter agentctl/%.c supervisor/init/% tests/conformance/%,$(filter-out agentctl/tools/%,$(1)))
LINT_C := $(filter %.c,$(C_FILES))
LINT_STAMPS := $(LINT_C:%=$(B)/lint/%.ok) $(SH_FILES:%=$(B)/lint/%.ok) \
             $(PY_FILES:%=$(B)/lint/%.ok) $(MANPAGES:%=$(B)/lint/%.ok)
# Every program here has one thread, so what is not reentrant is fine (…Called).
# cppcheck knows neither cleanup attributes (the leak checks) nor what list macros initialise (uninitvar);
# both are clang's analyzer's to find.
CPPCHECK := cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
             --error-exitcode=1 --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches \
             --suppress=resourceLeak --suppress=leakReturnValNotUsed \
             --suppress=uninitvar --suppress=readdirCalled --suppress=fgetpwentCalled \
             --suppress=fgetgrentCalled --library=posix --library=gnu \
             --include=$(firstword $(wildcard /usr/include/$(shell uname -m)-linux-gnu/sys/queue.h)) \
             -D__linux__ -D__$(shell uname -m)__ -D_GNU_SOURCE -I.

$(LINT_C:%=$(B)/lint/%.ok): $(B)/lint/%.ok: % .clang-tidy tests/.clang-tidy bench/.clang-tidy
	$(call say,LINT,$<)
	$(Q)mkdir -p $(@D) && rm -f $@ && \
	  $(CC) -MM -MP -MT $@ -MF $(@:.ok=.d) $(TIDY_FLAGS) $< && \
	  out=$$(clang-tidy --quiet $< -- $(if $(call is_musl,$<),$(TIDY_MUSL_FLAGS),$(TIDY_FLAGS)) 2>&1) || \
	    { printf '%s\n' "$$out" | grep -v 'warnings generated\|^Suppressed\|^Use -header' >&2; exit 1; }
	$(Q)$(CPPCHECK) $(if $(call is_musl,$<),-DAGENTD_MUSL) $< && touch $@
$(SH_FILES:%=$(B)/lint/%.ok): $(B)/lint/%.ok: %
	$(Q)mkdir -p $(@D) && rm -f $@ && shellcheck $< && touch $@
$(PY_FILES:%=$(B)/lint/%.ok): $(B)/lint/%.ok: % tools/lint-python
	$(Q)mkdir -p $(@D) && rm -f $@ && python3 tools/lint-python $< && touch $@
$(MANPAGES:%=$(B)/lint/%.ok): $(B)/lint/%.ok: %
	$(Q)mkdir -p $(@D) && rm -f $@ && mandoc -T lint -W warning $< && touch $@

lint-stamps: $(LINT_STAMPS)
lint:
	@$(MAKE) -k --no-print-directory lint-stamps || :
	@ok=0; bad=0; for f in $(LINT_STAMPS); do \
	  if [ -e $$f ]; then ok=$$((ok + 1)); else bad=$$((bad + 1)); fi; done; \
	echo "lint: $$ok passed, $$bad failed"; [ $$bad -eq 0 ]
format:
	clang-format -i $(C_FILES)
format-check:
	@ok=0; bad=0; for f in $(C_FILES); do \
	  if clang-format --dry-run -Werror $$f; then ok=$$((ok + 1)); else bad=$$((bad + 1)); fi; done; \
	echo "format-check: $$ok passed, $$bad failed"; [ $$bad -eq 0 ]

# ---- install --------------------------------------------------------------------------------------

BIN     := $(DESTDIR)$(PREFIX)/bin
SBIN    := $(DESTDIR)$(PREFIX)/sbin
LIBEXEC := $(DESTDIR)$(PREFIX)/libexec/agentd
MANDIR  := $(DESTDIR)$(PREFIX)/share/man
DOCDIR  := $(DESTDIR)$(PREFIX)/share/doc/agentd
# systemd looks for units and users of the administrator in /etc, of packages in /usr/lib.
SYSTEMD := $(DESTDIR)$(if $(filter /usr,$(PREFIX)),/usr/lib/systemd/system,/etc/systemd/system)
SYSUSERS := $(DESTDIR)$(if $(filter /usr,$(PREFIX)),/usr/lib/sysusers.d,/etc/sysusers.d)
INSTALLED = $(BIN)/agentctl $(SBIN)/agentd-supervisor $(LIBEXEC)/agentd $(LIBEXEC)/agentd-init \
             $(LIBEXEC)/agentctl-tools $(SYSTEMD)/agentd.service $(SYSUSERS)/agentd.conf \
             $(foreach m,$(MANPAGES),$(MANDIR)/man$(subst .,,$(suffix $(m)))/$(notdir $(m)))

install: all
	@install -d $(BIN) $(SBIN) $(LIBEXEC) $(SYSTEMD) $(SYSUSERS) $(DOCDIR)/examples
	@install -m 755 $(B)/agentctl $(BIN)/
	@install -m 755 $(B)/agentd-supervisor $(SBIN)/
	@install -m 755 $(B)/agentd $(B)/agentd-init $(B)/agentctl-tools $(LIBEXEC)/
	@sed 's|@PREFIX@|$(PREFIX)|g' packaging/agentd.service >$(B)/agentd.service
	@install -m 644 $(B)/agentd.service $(SYSTEMD)/agentd.service
	@install -m 644 packaging/agentd.sysusers $(SYSUSERS)/agentd.conf
	@for m in $(MANPAGES); do install -D -m 644 $$m $(MANDIR)/man$${m##*.}/$${m##*/}; done
	@install -m 644 README.md SECURITY.md LICENSE $(wildcard docs/*.md) $(DOCDIR)/
	@cp -R examples/. $(DOCDIR)/examples/ && chmod -R u=rwX,go=rX $(DOCDIR)/examples
	@echo 'installed below $(DESTDIR)$(PREFIX)'
	@$(if $(DESTDIR),,if [ -d /run/systemd/system ]; then systemd-sysusers agentd.conf && systemctl daemon-reload && \
	  echo 'now: sudo systemctl enable --now agentd'; \
	  else echo 'no systemd here: start $(PREFIX)/sbin/agentd-supervisor as root'; fi)
# State and log below /var/lib/agentd stay: they are evidence.
uninstall:
	@rm -f $(INSTALLED) && rm -rf $(DOCDIR) && { rmdir $(LIBEXEC) 2>/dev/null || :; }
	@echo 'removed; /var/lib/agentd and /etc/agentd are left alone'

clean:
	rm -rf build build-san build-fuzz
.PHONY: help deps check unit integration conformance e2e demo bench fuzz fuzz-bins lint lint-stamps \
        format format-check install uninstall clean
