# The commands of this project. Each works on a clean clone of a Debian 12 machine with git, make
# and a Rust toolchain: what else is needed is found, installed or unpacked by tests/lab/setup.

.PHONY: demo test lint bench docs

# See it work: a YAML file becomes phones of a real Asterisk, in one go.
demo:
	@examples/demo

# All tests, on a real PostgreSQL and a real Asterisk 22. They wait for these about half of the time, so that twice as
# many run at once as there are processors.
test:
	@tests/lab/setup
	cargo test --locked -- --test-threads=$$(($$(nproc) * 2))

# Formatting and lints; shellcheck where it is installed. A test checks the workflows of examples/ci.
lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	! command -v shellcheck >/dev/null || shellcheck -x examples/ci/.github/reconcile/*.sh tests/it/github/gh

# Our times beside floors measured in the same run; `make bench BENCH='--only plan --json FILE'` passes options on.
bench:
	@tests/lab/setup
	cargo build --locked --release
	@python3 benches/bench.py $(BENCH)

# The book, into target/book. mdBook is installed below target/ when this is called for the first time.
MDBOOK = target/mdbook-0.5.4
docs: $(MDBOOK)/bin/mdbook
	$(MDBOOK)/bin/mdbook build docs

$(MDBOOK)/bin/mdbook:
	cargo install mdbook --locked --version 0.5.4 --no-default-features --root $(MDBOOK)
