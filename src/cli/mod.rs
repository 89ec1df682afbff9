//! tmp
use std::process::ExitCode;
/// tmp
pub fn run(args: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    let f = args.into_iter().nth(1).unwrap();
    let l = crate::desired::load(std::path::Path::new(&f));
    for p in &l.problems {
        eprintln!("{}\n", p.render(&l.sources, false));
    }
    eprintln!("{}", l.declared.map_or(0, |d| d.users.len()));
    ExitCode::SUCCESS
}
