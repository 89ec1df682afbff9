//! The `reconcile` program: hands its arguments to the library and exits with its answer.

use std::process::ExitCode;

fn main() -> ExitCode {
    reconcile::cli::run(std::env::args_os())
}
