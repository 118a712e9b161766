# Each target sets up .venv itself when it is missing, or when what it is made from has changed.

bin := .venv/bin
installed := .venv/installed

.PHONY: gui demo test interchange lint bench compare screenshots bundle wheelhouse clean

gui: $(installed)
	packaging/setup-system .venv
	$(bin)/ptycho-gui

# In the window where there is a screen to show it on, in the terminal where there is none.
demo: $(installed)
	@if { [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] || [ "$$(uname)" = Darwin ]; } && packaging/setup-system .venv; \
	then $(bin)/ptycho-gui --demo; \
	else $(bin)/ptycho demo --output-dir demo; fi

test: $(installed)
	-packaging/setup-system .venv tests
	$(bin)/pytest --numprocesses logical --maxprocesses 8 --dist loadgroup

# Other programs, each in an environment of its own, read what is written here, and the other way round.
interchange: $(installed)
	packaging/setup-interchange .interchange ptychodus cdtools rosettasciio libertem
	PTYCHO_INTERCHANGE=.interchange $(bin)/pytest tests/interchange

lint: $(installed)
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	$(bin)/lint-imports

bench: $(installed)
	$(bin)/python benchmarks/run.py

# Our solver and pty-chi's, on scans with known truth. It takes about an hour, and goes on where it was interrupted.
compare: $(installed)
	packaging/setup-interchange .interchange ptychi
	$(bin)/python benchmarks/compare.py

# The pictures of the window in README and guide; all states, to be looked at, are in build/screenshots.
screenshots: $(installed)
	$(bin)/python docs/make_screenshots.py

# A folder that runs by itself, Python and all.
bundle: $(installed)
	$(bin)/python -m pip install --quiet --constraint constraints.txt --editable '.[packaging]'
	$(bin)/pyinstaller --noconfirm --distpath dist --workpath build packaging/ptycho.spec

# Everything to install from where there is no internet.
wheelhouse: $(installed)
	packaging/make-wheelhouse .venv dist/wheelhouse

clean:
	rm -rf .venv .interchange build dist demo tests/artefacts .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(installed): pyproject.toml constraints.txt packaging/setup-venv packaging/install-debian
	packaging/setup-venv .venv
	touch $@
