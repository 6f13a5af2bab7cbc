# Moongate's build. `make help` lists the targets; V=1 shows every command; DEV=1 makes warnings errors.
#
# A variant (release, asan, tsan, fuzz) is a set of flags with a folder of its own, build/<variant>/; the same
# rules make all of them: `make VARIANT=asan unit`. Sources are found by their place:
#   src/<row>/*.c             the program; src/app/main.c has main()
#   tests/unit/<row>/*_test.c one cmocka program each; other .c files there are linked into all of them
#   tests/fuzz/*_fuzz.c       one libFuzzer program each; its corpus is tests/fuzz/corpus/<name>/
#   lua/, policies/           Lua files (but no specs) that are embedded in the program
# Release also makes core.so of the same objects: the test kit, for busted in a stock Lua 5.4.

VARIANT ?= release
B       := build/$(VARIANT)
PREFIX  ?= /usr/local
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-7s %s\n' $1 $2)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
FORCE:
.PHONY: FORCE

# As many jobs as processors, where nothing was said.
ifeq ($(MAKELEVEL)$(filter -j% --jobserver%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif

# What it stands on -----------------------------------------------------------------------------------------

# Mbed TLS 2.28 has no file for pkg-config.
TLS_LIBS := -lmbedtls -lmbedx509 -lmbedcrypto
# Mbed TLS at libcrypto's speed; only beside shared libraries (src/tls/README.md).
TLS_ACCEL ?= 1

LIBS := libevent_core libevent_pthreads lua5.4 libcares libcrypto hiredis yaml-0.1 libpcre2-8 zlib libbrotlienc libbrotlidec

# curl: `make run` shows lines to try that call it
BUILD_PACKAGES := gcc libc6-dev make pkg-config lua5.4 liblua5.4-dev libevent-dev libc-ares-dev libssl-dev \
  libhiredis-dev libyaml-dev libpcre2-dev libmbedtls-dev zlib1g-dev libbrotli-dev curl
TEST_PACKAGES := $(BUILD_PACKAGES) lua-busted lua-socket lua-sec openssl lua-check libcmocka-dev clang \
  libclang-rt-14-dev llvm clang-format libjwt-dev redis-server

# Packages are looked for each time (it takes 15 ms), and before anything is compiled.
.PHONY: deps deps-build deps-test
deps: deps-test ## install the Debian packages that are missing (as root; else say which)
deps-build:
	@tests/run/deps.sh $(BUILD_PACKAGES)
deps-test:
	@tests/run/deps.sh $(TEST_PACKAGES)

# pkg-config may be missing until deps has run, so it is asked when a recipe first needs the answer.
LIB_CFLAGS    = $(eval LIB_CFLAGS := $$(shell pkg-config --cflags $(LIBS)))$(LIB_CFLAGS)
LIB_LIBS      = $(eval LIB_LIBS := $$(shell pkg-config --libs $(LIBS)) $$(TLS_LIBS))$(LIB_LIBS)
CMOCKA_LIBS   = $(eval CMOCKA_LIBS := $$(shell pkg-config --libs cmocka) -lssl -ljwt)$(CMOCKA_LIBS)

# Flags -----------------------------------------------------------------------------------------------------

ifeq ($(origin CC),default)
CC := gcc
endif
# Whole-program optimisation for the program itself; tests link the ordinary half of the objects. LTO= turns
# it off, for quicker builds while developing.
LTO ?= 1
AR := $(if $(LTO),gcc-ar,ar)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wwrite-strings \
  -Wpointer-arith -Wundef
HARDEN := -D_FORTIFY_SOURCE=2 -fstack-protector-strong
SANITIZE_ADDRESS := address,undefined -fno-sanitize-recover=all

ifeq ($(VARIANT),release)
# core.so takes the same objects. When the program is linked, they become what -fPIE would have made of them:
# nothing is visible outside, and thread-locals are found without a call.
SHAREABLE := -fPIC -fvisibility=hidden -ftls-model=initial-exec
MODE      := -O2 -g $(HARDEN) $(SHAREABLE) $(if $(LTO),-flto=auto -ffat-lto-objects)
MODE_LINK := -pie -Wl,-z,relro,-z,now
BIN_LINK  := $(if $(LTO),-flto=auto -O2,-fno-lto)
WARN      += $(if $(DEV)$(CI),-Werror -Wno-error=format-truncation)
else ifeq ($(VARIANT),asan)
# Not gcc: its two runtimes cannot write to one file.
CC        := clang
MODE      := -O1 -g -fno-omit-frame-pointer -fsanitize=$(SANITIZE_ADDRESS)
MODE_LINK := -fsanitize=$(SANITIZE_ADDRESS)
else ifeq ($(VARIANT),tsan)
MODE      := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
MODE_LINK := -fsanitize=thread
else ifeq ($(VARIANT),fuzz)
CC        := clang
MODE      := -O1 -g -fno-omit-frame-pointer -DMG_FUZZING=1 -fsanitize=fuzzer-no-link,$(SANITIZE_ADDRESS)
MODE_LINK := -fsanitize=fuzzer,$(SANITIZE_ADDRESS)
else
$(error VARIANT is release, asan, tsan or fuzz, not '$(VARIANT)')
endif

COMPILE = $(CC) -std=gnu11 -D_GNU_SOURCE -DMG_TLS_ACCEL=$(TLS_ACCEL) -Isrc $(MODE) $(WARN) -pthread $(LIB_CFLAGS) $(CFLAGS)
LINK    = $(CC) $(MODE) $(MODE_LINK) $(if $(filter release,$(VARIANT)),-fno-lto) -pthread -Wl,--as-needed $(LDFLAGS)

# The program -----------------------------------------------------------------------------------------------

SRC      := $(wildcard src/*/*.c)
OBJ      := $(SRC:%.c=$(B)/obj/%.o) $(B)/embedded.o
MAIN_OBJ := $(B)/obj/src/app/main.o
BIN      := $(B)/moongate
LIB      := $(B)/libmoongate.a
CORE     := $(if $(filter release,$(VARIANT)),$(B)/lua/moongate/core.so)
EMBEDDED := $(filter-out %_spec.lua lua/stubs/%,$(wildcard lua/*.lua lua/*/*.lua lua/*/*/*.lua lua/*/*/*/*.lua policies/*.lua policies/*/*.lua))

.PHONY: all run
all: $(BIN) $(CORE) ## build the program, build/moongate, and core.so for stock busted (the default)

run: all ## build it and start the example shop
	@cat examples/shop/try.txt
	$(Q)exec build/moongate run -c examples/shop/moongate.yaml

# A file that changes only when its text does, so that what depends on it is made again when flags or lists change.
define keep_text
@mkdir -p $(@D)
@printf '%s\n' '$(strip $1)' | cmp -s - $@ || printf '%s\n' '$(strip $1)' >$@
endef

$(B)/flags: FORCE | deps-build
	$(call keep_text,$(COMPILE) : $(LINK) $(LIB_LIBS))
$(B)/objects: FORCE
	$(call keep_text,$(OBJ))
$(B)/embedded.list: FORCE
	$(call keep_text,$(EMBEDDED))

$(B)/embedded.c: src/script/embed.lua $(EMBEDDED) $(B)/embedded.list | deps-build
	$(call say,EMBED,$@)
	$(Q)lua5.4 src/script/embed.lua $(EMBEDDED) >$@

$(B)/embedded.o: $(B)/embedded.c src/script/embedded.h $(B)/flags
	$(call say,CC,$<)
	$(Q)$(COMPILE) -c -o $@ $<

$(B)/obj/%.o: %.c $(B)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) $(if $(filter tests/unit/%,$<),-Itests/unit) -MMD -MP -c -o $@ $<

$(LIB): $(filter-out $(MAIN_OBJ),$(OBJ)) $(B)/objects
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

$(BIN): $(OBJ) $(B)/objects
	$(call say,LINK,$@)
	$(Q)$(LINK) $(BIN_LINK) -o $@ $(filter %.o,$^) $(LIB_LIBS) -lm
	$(if $(filter release,$(VARIANT)),@ln -sfn release/moongate build/moongate && ln -sfn release/moongate build/rgate)

# It stays loaded once it is: a thread's end and a late signal still find the code they call. What it uses of
# Lua is the interpreter's that loads it.
$(B)/lua/moongate/core.so: $(B)/obj/src/script/core_module.o $(LIB) | src/script/core_module.exports
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(patsubst -pie,-shared,$(LINK)) -Wl,-z,nodelete \
	  -Wl,--version-script=src/script/core_module.exports -o $@ $^ $(filter-out -llua5.4,$(LIB_LIBS)) -lm

# Tests -----------------------------------------------------------------------------------------------------

# pattern_test has one thread, and raises more Lua errors than the thread sanitizer can follow: it does not see
# liblua's longjmp, and its own stack of frames overflows.
NO_TSAN   := tests/unit/script/pattern_test.c
UNIT_SRC  := $(filter-out $(if $(filter tsan,$(VARIANT)),$(NO_TSAN)),$(wildcard tests/unit/*/*_test.c))
UNIT_HELP := $(filter-out %_test.c,$(wildcard tests/unit/*/*.c))
UNIT_OBJ  := $(UNIT_SRC:%.c=$(B)/obj/%.o) $(UNIT_HELP:%.c=$(B)/obj/%.o)
# tests/unit/http/h1_parse_test.c becomes build/<variant>/unit/http_h1_parse
unit_bin   = $(B)/unit/$(notdir $(patsubst %/,%,$(dir $1)))_$(patsubst %_test.c,%,$(notdir $1))
UNIT_BIN  := $(foreach t,$(UNIT_SRC),$(call unit_bin,$t))

$(UNIT_OBJ): | deps-test

define unit_rule
$(call unit_bin,$1): $(1:%.c=$(B)/obj/%.o) $(UNIT_HELP:%.c=$(B)/obj/%.o) $(LIB)
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(LINK) -o $$@ $$^ $$(LIB_LIBS) $$(CMOCKA_LIBS) -lm
endef
$(foreach t,$(UNIT_SRC),$(eval $(call unit_rule,$t)))

FUZZ         ?= *
FUZZ_SECONDS ?= 60
FUZZ_SRC := $(wildcard tests/fuzz/$(FUZZ)_fuzz.c)
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/%_fuzz.c=$(B)/targets/%)
FUZZ_OBJ := $(FUZZ_SRC:%.c=$(B)/obj/%.o)
$(FUZZ_OBJ): | deps-test

$(B)/targets/%: $(B)/obj/tests/fuzz/%_fuzz.o $(LIB)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(LIB_LIBS) -lm

# Specs also run under stock busted, which finds the test kit where `make install` puts it. Release only.
ifneq ($(CORE),)
MG_STAGE := $(CURDIR)/$(B)/stage
STAGE    := stage
STOCK    := stock
endif

# The programs that tests/run/unit.sh runs.
UNITS  := $(notdir $(UNIT_BIN))
SUITES = tests/run/suites.sh $(VARIANT)
export T V FUZZ_SECONDS UNITS MG_STAGE

.PHONY: test unit spec e2e asan tsan fuzz fuzz-replay fuzz-build
test: $(UNIT_BIN) $(BIN) $(STAGE) | deps-test ## all tests: unit, spec and e2e; the last line is the sum
	@$(SUITES) unit spec $(STOCK) e2e

unit: $(UNIT_BIN) | deps-test ## tests of the C code; T=http runs only those with http in their name
	@$(SUITES) unit

spec: $(BIN) $(STAGE) | deps-test ## tests in simulation, by `moongate test` and stock busted; T=policies/cors only there
	@$(SUITES) spec $(STOCK)

e2e: $(BIN) $(STAGE) | deps-test ## tests of the running program; T=tests/e2e/x_spec.lua only that
	@$(SUITES) e2e

asan: ## all tests under AddressSanitizer and UBSan, and the fuzz targets over their corpus
	@$(MAKE) --no-print-directory VARIANT=fuzz fuzz-build
	@$(MAKE) --no-print-directory VARIANT=asan asan-suites

tsan: ## unit and e2e tests under ThreadSanitizer
	@$(MAKE) --no-print-directory VARIANT=tsan tsan-suites

.PHONY: asan-suites tsan-suites
asan-suites: $(UNIT_BIN) $(BIN) | deps-test
	@$(SUITES) unit spec e2e fuzz-replay
tsan-suites: $(UNIT_BIN) $(BIN) | deps-test
	@$(SUITES) unit e2e

ifeq ($(VARIANT),fuzz)
fuzz-build: $(FUZZ_BIN) | deps-test
fuzz: $(FUZZ_BIN) | deps-test
	$(if $(FUZZ_BIN)$(filter *,$(FUZZ)),,$(error there is no tests/fuzz/$(FUZZ)_fuzz.c))
	@$(SUITES) fuzz $(notdir $(FUZZ_BIN))
fuzz-replay: $(FUZZ_BIN) | deps-test
	@$(SUITES) fuzz-replay $(notdir $(FUZZ_BIN))
else
fuzz: ## run the fuzz targets; FUZZ=h1_parse only that one, FUZZ_SECONDS=60 for each
	@$(MAKE) --no-print-directory VARIANT=fuzz fuzz
fuzz-replay: ## run each fuzz target once over its corpus
fuzz-build fuzz-replay:
	@$(MAKE) --no-print-directory VARIANT=fuzz $@
endif

# Habits ----------------------------------------------------------------------------------------------------

HEADERS    := $(wildcard src/*/*.h tests/unit/*/*.h)
C_FILES    := $(wildcard src/*/*.[ch] tests/unit/*/*.[ch] tests/fuzz/*.[ch])
LINT_ALONE := $(HEADERS:%=build/lint/%.alone)

.PHONY: lint lint-headers format bench install clean help
lint: | deps-test ## check layers, library homes, banned functions, headers, format, Lua
	@status=0; $(MAKE) --no-print-directory -k lint-headers || status=1; tests/lint/lint.sh || status=1; exit $$status

lint-headers: $(LINT_ALONE)

# Each header compiles alone.
build/lint/%.h.alone: %.h | deps-build
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -Isrc -Itests/unit $(WARN) -Werror -Wno-unused-function $(LIB_CFLAGS) \
	  -MMD -MP -MF $@.d -MT $@ -x c -fsyntax-only $< || \
	  { echo "$<:1: does not compile alone (see above); include what it needs" >&2; exit 1; }
	@touch $@

format: | deps-test ## bring the C files into shape
	$(Q)clang-format -i $(C_FILES)

W     ?= w1,w2
PEERS ?= ours nginx nginx-lua haproxy floor-event
bench: all ## compare with other gateways: BENCH=<folder of the bench> W=w1,w2 PEERS="ours nginx"
ifdef BENCH
	$(Q)OURS_PEER=$(CURDIR)/tests/bench/peer $(BENCH)/run.sh $(W) $(PEERS)
else
	@echo 'BENCH=<folder with run.sh> is not set. With wrk and nginx from Debian: tests/bench/compare.sh'
	@echo 'See tests/bench/README.md.'
endif

# The Lua files are in core.so too; those that are installed lead to it.
define install_below
	$(Q)install -D -m 755 $(BIN) $1/bin/moongate
	$(Q)ln -sfn moongate $1/bin/rgate
	$(if $(CORE),$(Q)install -D -m 755 $(CORE) $1/lib/lua/5.4/moongate/core.so)
	$(Q)for f in $(patsubst lua/%,%,$(filter lua/%,$(EMBEDDED))); do \
	  install -D -m 644 lua/$$f $1/share/lua/5.4/$$f || exit 1; done
	$(Q)install -d $1/share/doc/moongate
	$(Q)for f in LICENSE README.md lua/README.md policies/README.md; do \
	  [ ! -f $$f ] || install -D -m 644 $$f $1/share/doc/moongate/$$f || exit 1; done
	$(Q)cp -R examples $1/share/doc/moongate/
	$(Q)rm -rf $1/share/doc/moongate/examples/tls-edge/certs
	$(Q)install -d $1/share/moongate
	$(Q)cp -R lua/stubs $1/share/moongate/
endef

install: all ## copy the program, its papers and examples; PREFIX=/usr/local DESTDIR=
	$(call install_below,$(DESTDIR)$(PREFIX))

.PHONY: stage
stage: all
	@rm -rf $(MG_STAGE)
	$(call install_below,$(MG_STAGE)/usr/local)

clean: ## remove all that was built
	$(Q)rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+( [a-z0-9-]+)*:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

-include $(OBJ:.o=.d) $(UNIT_OBJ:.o=.d) $(FUZZ_OBJ:.o=.d) $(LINT_ALONE:=.d)
