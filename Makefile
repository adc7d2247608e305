# The targets are plain cargo lines; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The name under which `make install` installs the binary: some systems have Pipe Viewer as `pv`.
NAME ?= pv
PREFIX ?= $(HOME)/.local
# What `make bench` is told besides: `BENCH='small large'` for some cases only, `BENCH=--long`.
BENCH ?=
# Not `abspath`, which takes a path with spaces for several.
TARGET_DIR := $(shell realpath -m '$(or $(CARGO_TARGET_DIR),target)')
# RocksDB is compiled once, for all profiles (`scripts/rocksdb.sh`). Outside make: `eval "$(make -s env)"`, or cargo compiles it itself.
# Asked for anew by each line (`=`): the first lines install the compiler, whose version is a part of it.
export ROCKSDB_LIB_DIR = $(shell scripts/rocksdb.sh --folder '$(TARGET_DIR)')
export ROCKSDB_STATIC := 1
TRIPLE = $(shell rustc -vV | sed -n 's/^host: //p')
PV = $(TARGET_DIR)/$(TRIPLE)/release/pv
# nextest runs tests in parallel processes; plain cargo does where it is missing.
TEST = $(shell cargo nextest --version >/dev/null 2>&1 && echo 'nextest run --no-fail-fast' || echo test)

.PHONY: help env setup rocksdb build demo demo-training test test-kubernetes bare-root verify fmt-check lint doc bench bench-quick screenshots install

help:
	@echo 'make setup     install what building and tests need (Debian, Ubuntu)'
	@echo 'make demo      threat detection on camera frames, from nothing to a traced flag'
	@echo 'make demo-training   a grid of models on handwritten digits, compared and proven'
	@echo 'make test      all tests, and the end-to-end ones through a server too; starts a Docker daemon if none answers and it may'
	@echo 'make test-kubernetes   the tests that need Kubernetes, on one compiled and started here (root; 10 minutes the first time)'
	@echo 'make bare-root   does a fresh Debian build this? (root, 2 to 5 minutes; a part of CI)'
	@echo 'make verify    formatting, lints, documentation and tests'
	@echo 'make bench     measure against rivals and floors (40 minutes; bench-quick: 5, printed only)'
	@echo 'make screenshots   each view of the page in both themes, with states in greyscale too, as pictures below the target folder'
	@echo 'make install   the binary to $(PREFIX)/bin/$(NAME); NAME=… picks another name'

setup:
	@scripts/setup.sh build docker

env:
	@echo "export ROCKSDB_LIB_DIR='$(ROCKSDB_LIB_DIR)' ROCKSDB_STATIC=$(ROCKSDB_STATIC)"

rocksdb:
	@scripts/setup.sh build
	@scripts/rocksdb.sh '$(TARGET_DIR)'

build: rocksdb
	@[ -e '$(PV)' ] || echo 'make: compiling pv and the crates it is made of (about 8 minutes on 2 cores the first time)' >&2
	cargo build --release --locked --package cli

demo: build
	PV='$(PV)' examples/threat-detection/demo.sh

demo-training: build
	PV='$(PV)' examples/model-training/demo.sh

test: rocksdb
	@scripts/setup.sh docker python terminal s3 numpy proof metrics api notify page
	@scripts/with-docker.sh cargo $(TEST) --workspace --locked
	@echo 'make: the end-to-end tests once more, through a server' >&2
	@PV_TEST_SERVER=1 scripts/with-docker.sh cargo $(TEST) --workspace --locked --test e2e -- $$(scripts/only-here.sh --skip)

# The cluster ends with the tests, however they end.
test-kubernetes: rocksdb
	@scripts/setup.sh docker kubernetes
	@scripts/kubernetes.sh build
	@cargo build --workspace --locked --bin pv
	@trap 'scripts/kubernetes.sh down' EXIT; set -e; line=$$(scripts/kubernetes.sh up); eval "$$line"; \
		export PV_KUBERNETES="$$(dirname "$$KUBECONFIG")"; \
		scripts/with-docker.sh sh tests/images/cluster.sh "$$(ls -t '$(TARGET_DIR)'/debug/pv '$(TARGET_DIR)'/*/debug/pv 2>/dev/null | head -n 1)"; \
		scripts/with-docker.sh cargo $(TEST) --workspace --locked --test e2e kubernetes::; \
		scripts/with-docker.sh cargo $(TEST) --workspace --locked --test executor_contract cluster::

# Each view in both themes, those with states in greyscale too, below the target folder, to be looked at.
screenshots: rocksdb
	@scripts/setup.sh docker python page
	@PV_SCREENSHOTS='$(TARGET_DIR)/screenshots' scripts/with-docker.sh cargo test --workspace --locked --test e2e page::pictures -- --nocapture

bare-root:
	@tests/bare-root.sh

verify: fmt-check lint doc test

fmt-check:
	cargo fmt --all --check

lint: rocksdb
	cargo clippy --workspace --all-targets --locked -- -D warnings

doc: rocksdb
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked

bench bench-quick: build
	@scripts/setup.sh docker bench page
	@PV='$(PV)' scripts/with-docker.sh python3 scripts/bench $(if $(filter bench-quick,$@),--quick) $(BENCH)

install: build
	install -D -m 755 '$(PV)' '$(PREFIX)/bin/$(NAME)'
	@echo 'installed $(PREFIX)/bin/$(NAME)'
