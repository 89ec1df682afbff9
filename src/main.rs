//! The `reconcile` program: hands its arguments to the library and exits with its answer.

use std::process::ExitCode;

/// The C library's took about a tenth of the processor time of an answered call.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    reconcile::cli::run(std::env::args_os())
}
