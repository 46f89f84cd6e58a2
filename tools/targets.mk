# The targets that are not the build itself: tests, lint, install, demo.

C_FILES := $(sort $(shell find supervisor agentd policy audit agentctl common tests bench -name '*.[ch]' 2>/dev/null))

unit: $(UNIT_BINS)
	@tools/run-unit $(UNIT_BINS)
format:
	clang-format -i $(C_FILES)
format-check:
	@clang-format --dry-run -Werror $(C_FILES) && echo "format: $(words $(C_FILES)) files clean"
clean:
	rm -rf build build-san build-fuzz
.PHONY: unit format format-check clean
