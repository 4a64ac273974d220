# SPDX-License-Identifier: Apache-2.0
# What can be done with a fresh clone; every target makes its own set-up. `make help` lists them.

PYTHON = python3
TORCH_INDEX ?=
PYTEST_JOBS = 2
FUZZ_COUNT ?= 10000
FUZZ_KERNEL_COUNT ?= 100000
FUZZ_PLAN_COUNT ?= 1000
FUZZ_SEED ?= 0
FUZZ_SECONDS ?= 0

BIN = .venv/bin
SETUP_DONE = .venv/edgekit-setup
TYPED_TREE = .cache/typed

.PHONY: help setup system check test demo figures figures-diff sizes costs fuzz clean

help: ## list the targets and variables
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 21
	@echo
	@echo 'PYTHON=python3.11    the Python that makes .venv'
	@echo 'TORCH_INDEX=URL      the index for torch, where pip would fetch a CUDA build:'
	@echo '                     https://download.pytorch.org/whl/cpu'
	@echo 'PYTEST_JOBS=2        test processes'
	@echo 'FUZZ_COUNT=10000     mutated .tflite and .onnx files (one .pt2 for every hundred)'
	@echo 'FUZZ_KERNEL_COUNT=100000  random layers for each family of kernels, on all of its cores'
	@echo 'FUZZ_PLAN_COUNT=1000 random models under random schedules; each 10th on a Cortex-M7, too'
	@echo 'FUZZ_SEED=0          which ones'
	@echo 'FUZZ_SECONDS=0       stop each kind after; 0: no limit'

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
	find runtime_c edgekit tests examples benchmarks -name '*.[ch]' -not -path '*/out/*' -print0 | xargs -0 -r clang-format --dry-run -Werror

test: setup ## all tests; the last line is pytest's
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(PYTEST_JOBS) --dist worksteal --durations=10

demo: setup ## train, convert, validate on the host and on an emulated Cortex-M4
	@$(BIN)/python examples/digits/demo.py

figures: setup ## measure the key figures again and write benchmarks/key_figures.txt
	@$(BIN)/python benchmarks/key_figures.py

figures-diff: setup ## how the key figures differ from the committed ones; fails where one grew too much
	@$(BIN)/python benchmarks/key_figures.py --diff

sizes: setup ## code bytes of the kernels that the visual wake words network needs, by file
	@$(BIN)/python benchmarks/sizes.py

costs: setup ## fit the cost model of every kernel on the emulated cores; writes targets/costs
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fit_costs.py

fuzz: setup ## mutated model files, random layers through every kernel, random schedules
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m fuzz --seed $(FUZZ_SEED) \
	    --count $(FUZZ_COUNT) --seconds $(FUZZ_SECONDS)
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m fuzz --seed $(FUZZ_SEED) --kind onnx \
	    --count $(FUZZ_COUNT) --seconds $(FUZZ_SECONDS)
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m fuzz --seed $(FUZZ_SEED) --kind pt2 \
	    --count $$(($(FUZZ_COUNT) / 100)) --seconds $(FUZZ_SECONDS)
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m fuzz --seed $(FUZZ_SEED) --kind schedules \
	    --count $(FUZZ_PLAN_COUNT) --emulate 10 --seconds $(FUZZ_SECONDS)
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m fuzz --seed $(FUZZ_SEED) --kind kernels \
	    --count $(FUZZ_KERNEL_COUNT) --seconds $(FUZZ_SECONDS)

clean: ## remove .venv and everything that was built
	rm -rf .venv .cache .hypothesis build dist *.egg-info
