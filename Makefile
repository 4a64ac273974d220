# SPDX-License-Identifier: Apache-2.0
# What can be done with a fresh clone; every target makes its own set-up. `make help` lists them.

PYTHON = python3
TORCH_INDEX ?=
PYTEST_JOBS = 2

BIN = .venv/bin
SETUP_DONE = .venv/edgekit-setup
TYPED_TREE = .cache/typed

.PHONY: help setup system check test demo figures clean

help: ## list the targets and variables
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 21
	@echo
	@echo 'PYTHON=python3.11    the Python that makes .venv'
	@echo 'TORCH_INDEX=URL      the index for torch, where pip would fetch a CUDA build:'
	@echo '                     https://download.pytorch.org/whl/cpu'
	@echo 'PYTEST_JOBS=2        test processes'

setup: $(SETUP_DONE) ## make .venv and install the missing system packages

$(SETUP_DONE): pyproject.toml constraints.txt | system
	@tools/setup_python.sh '$(PYTHON)' '$(TORCH_INDEX)'

system:
	@tools/setup_system.sh '$(PYTHON)'

check: setup ## lint, formatting, types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python tools/mypy_tree.py $(TYPED_TREE)
	MYPYPATH=$(TYPED_TREE) $(BIN)/mypy --strict -p edgekit
	$(BIN)/mypy --strict tools
	find runtime_c edgekit tests examples benchmarks -name '*.[ch]' -print0 | xargs -0 -r clang-format --dry-run -Werror

test: setup ## all tests; the last line is pytest's
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(PYTEST_JOBS) --dist worksteal --durations=10

demo: setup ## train, convert, validate on the host and on an emulated Cortex-M4
	@$(BIN)/python examples/digits/demo.py

figures: setup ## measure the key figures again and write benchmarks/key_figures.txt
	@$(BIN)/python benchmarks/key_figures.py

clean: ## remove .venv and everything that was built
	rm -rf .venv .cache .hypothesis build dist *.egg-info
