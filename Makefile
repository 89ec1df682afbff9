# The commands of this project. Each works on a clean clone of a Debian 12 machine with git, make
# and a Rust toolchain: what else is needed is found, installed or unpacked by tests/lab/setup.

.PHONY: demo test lint bench docs dist deb static sbom

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
	! command -v shellcheck >/dev/null || shellcheck -x examples/ci/.github/reconcile/*.sh examples/ci/.gitlab/reconcile/*.sh packaging/debian/* packaging/check tests/it/github/gh

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

# The program with its man pages and completions, into target/dist.
dist:
	cargo build --locked --release
	rm -rf target/dist
	mkdir -p target/dist/man target/dist/completions
	target/release/reconcile generate man target/dist/man
	target/release/reconcile generate completions target/dist/completions

# A Debian package, into target/debian, and a look at what it installs. cargo-deb is installed below target/ when this is called for the first time.
CARGO_DEB = target/cargo-deb-3.8.0
deb: dist $(CARGO_DEB)/bin/cargo-deb
	rm -rf target/debian target/debian-root
	PATH="$(CURDIR)/$(CARGO_DEB)/bin:$$PATH" cargo deb --locked --no-build
	dpkg-deb -x target/debian/*.deb target/debian-root
	packaging/check target/debian-root

$(CARGO_DEB)/bin/cargo-deb:
	cargo install cargo-deb --locked --version 3.8.0 --root $(CARGO_DEB)

# One file without libraries, for any Linux of this architecture. It needs `musl-gcc` (Debian: musl-tools).
MUSL = $(shell uname -m)-unknown-linux-musl
static:
	rustup target add $(MUSL)
	cargo build --locked --release --target $(MUSL)

# What the program is made of, as CycloneDX, into target/dist.
CYCLONEDX = target/cargo-cyclonedx-0.5.9
sbom: $(CYCLONEDX)/bin/cargo-cyclonedx
	mkdir -p target/dist
	PATH="$(CURDIR)/$(CYCLONEDX)/bin:$$PATH" cargo cyclonedx --format json --override-filename reconcile.cdx
	mv reconcile.cdx.json target/dist/

$(CYCLONEDX)/bin/cargo-cyclonedx:
	cargo install cargo-cyclonedx --locked --version 0.5.9 --root $(CYCLONEDX)
