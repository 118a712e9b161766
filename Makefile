# Each target sets up .venv itself when it is missing, or when what it is made from has changed.

bin := .venv/bin
installed := .venv/installed

.PHONY: demo test lint bench clean

demo: $(installed)
	$(bin)/ptycho demo --output-dir demo

test: $(installed)
	$(bin)/pytest

lint: $(installed)
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	$(bin)/lint-imports

bench: $(installed)
	$(bin)/python benchmarks/run.py

clean:
	rm -rf .venv build dist demo .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(installed): pyproject.toml constraints.txt packaging/setup-venv
	packaging/setup-venv .venv
	touch $@
