# Each target can be run again; what it installs it says, and it ends with a clear line.
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-aws test dist licenses bench size soak header fmt lint clean

help: ## this list
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 16

setup: ## installs what the tests need: Debian packages, build/venv (PyPI), build/tools (cbindgen and others)
	@scripts/setup.sh

demo: ## builds the core and runs a C program that keeps its pages encrypted; installs nothing
	@scripts/demo.sh

demo-aws: ## two machines share an index through S3 and KMS (LocalStack, on this machine), until its key is disabled
	@scripts/demo_aws.sh

test: ## every test, after `setup`; one line for each step, logs in build/logs
	@tests/run.sh

dist: ## what users install, in build/dist: a tarball, Debian packages, the packages for Node and Go
	@scripts/dist.sh

licenses: ## packaging/THIRD-PARTY-LICENSES.txt anew, after a change of the dependencies
	@scripts/licenses.sh

bench: ## speed against the limits of the machine, in one table
	@scripts/bench.sh

size: ## size of the shared library and the time to load it, in one table
	@scripts/size.sh

soak: ## the tests that find rare things, over and over for MINUTES (60)
	@scripts/soak.sh

header: ## include/cyborg_kms.h and tests/c/exports.txt anew, from src/ffi
	@scripts/header.sh include/cyborg_kms.h
	@scripts/exports.sh include/cyborg_kms.h >tests/c/exports.txt
	@echo "Made include/cyborg_kms.h and tests/c/exports.txt."

fmt: ## formats Rust, C and Go
	@scripts/lint.sh fix

lint: ## format and clippy, as `test` checks them
	@tests/run.sh rust_format c_format clippy header

clean: ## removes all that was built or installed below this folder
	@rm -rf build target
	@echo "Removed build and target."
