//! What a package installs: man pages, completions, units, and the scripts around them.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use super::support::TestEnv;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn each_command_has_a_man_page_and_completions_know_it() {
    let env = TestEnv::embedded();
    for folder in ["man", "completions"] {
        fs::create_dir(env.path("work").join(folder)).unwrap();
        env.run(&format!("generate {folder} {folder}")).expect(0);
    }
    let help = env.run("--help").expect(0).stdout;
    assert!(!help.contains("\n  generate "), "{help}");
    let list = help.split_once("\nCommands:\n").unwrap().1.split("\n\n").next().unwrap().to_owned();
    let commands: BTreeSet<&str> = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    let bash = fs::read_to_string(env.path("work/completions/reconcile.bash")).unwrap();
    for command in commands.iter().filter(|command| !command.is_empty() && **command != "help") {
        let page = fs::read_to_string(env.path(&format!("work/man/reconcile-{command}.1")));
        let page = page.unwrap_or_else(|error| panic!("{command}: {error}"));
        assert!(page.contains(".SH SYNOPSIS") && page.contains("reconcile"), "{command}");
        assert!(bash.contains(command), "{command}");
    }
    assert!(env.path("work/man/reconcile-secret-show.1").exists());
    for file in ["_reconcile", "reconcile.fish"] {
        assert!(fs::metadata(env.path("work/completions").join(file)).unwrap().len() > 1000, "{file}");
    }
    // What is there is never written over.
    env.run("generate man man").expect(1);
}

/// The assets of the package that stand in the repository.
#[test]
fn what_the_package_installs_is_there() {
    let manifest = read("Cargo.toml");
    let assets = manifest.split_once("\nassets = [").unwrap().1.split_once("\n]").unwrap().0;
    let sources = assets.lines().filter_map(|line| line.trim().strip_prefix("[\"")?.split('"').next());
    let ours: Vec<&str> = sources.filter(|source| !source.starts_with("target/")).collect();
    assert!(ours.len() > 5, "{ours:?}");
    for source in ours {
        assert!(path(source).exists(), "{source}");
    }
    for script in ["postinst", "prerm", "postrm"] {
        let checked = Command::new("sh").arg("-n").arg(path("packaging/debian").join(script)).status().unwrap();
        assert!(checked.success(), "{script}");
    }
}

/// The unit of the package is the documented one, at the package's paths.
#[test]
fn the_units_are_hardened_and_valid() {
    let example = read("examples/serve/reconcile-serve.service")
        .replace("/usr/local/bin/reconcile", "/usr/bin/reconcile")
        .replace("/etc/reconcile/serve.env", "/etc/default/reconcile");
    assert_eq!(read("packaging/systemd/reconcile-serve.service"), example);
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<String>>();
    let (serve, status) = (lines(&example), lines(&read("packaging/systemd/reconcile-status.service")));
    let hardened = serve.iter().filter(|line| {
        ["Protect", "Private", "Restrict", "SystemCall", "NoNew", "Memory", "Lock", "Capability"]
            .iter()
            .any(|word| line.starts_with(word))
    });
    let not_there: Vec<&String> = hardened
        .filter(|line| !status.contains(*line) && !line.starts_with("ProtectHome") && !line.starts_with("MemoryMax"))
        .collect();
    assert!(not_there.is_empty(), "{not_there:?}");
}

/// Installs what the package holds below a folder, with the program under test.
fn install(root: &Path) {
    let env = TestEnv::embedded();
    let generated = env.path("work");
    for folder in ["man", "completions"] {
        fs::create_dir(generated.join(folder)).unwrap();
        env.run(&format!("generate {folder} {folder}")).expect(0);
    }
    let manifest = read("Cargo.toml");
    let assets = manifest.split_once("\nassets = [").unwrap().1.split_once("\n]").unwrap().0;
    for asset in assets.lines().filter(|line| line.contains('"')) {
        let [source, target, mode] = asset.split('"').skip(1).step_by(2).collect::<Vec<_>>()[..] else {
            panic!("{asset}")
        };
        let source = match source.strip_prefix("target/dist/") {
            Some(name) => generated.join(name),
            None if source == "target/release/reconcile" => env!("CARGO_BIN_EXE_reconcile").into(),
            None => path(source),
        };
        let target = root.join(target);
        let folder = if asset.contains("/\", ") { target.as_path() } else { target.parent().unwrap() };
        fs::create_dir_all(folder).unwrap();
        for file in glob::glob(source.to_str().unwrap()).unwrap() {
            let file = file.unwrap();
            let target = if folder == target { target.join(file.file_name().unwrap()) } else { target.clone() };
            fs::copy(&file, &target)
                .unwrap_or_else(|error| panic!("{} to {}: {error}", file.display(), target.display()));
            let mode = u32::from_str_radix(mode, 8).unwrap();
            fs::set_permissions(&target, PermissionsExt::from_mode(mode)).unwrap();
        }
    }
}

/// `make deb` runs the same script on the package that it made.
#[test]
fn what_the_package_installs_works() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    install(root);
    let check = || Command::new(path("packaging/check")).arg(root).output().unwrap();
    let checked = check();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success() && said.contains("pbx.yaml: valid, 2 users"), "{checked:?}");
    if !said.contains("no systemd-analyze") {
        assert_eq!(said.matches("Overall exposure level").count(), 2, "{said}");
        let unit = root.join("usr/lib/systemd/system/reconcile-serve.service");
        let text = fs::read_to_string(&unit).unwrap().replace("/usr/bin/reconcile", "/usr/bin/another");
        fs::write(&unit, text).unwrap();
        assert!(!check().status.success(), "a unit whose program is missing");
    }
    fs::remove_file(root.join("usr/share/doc/reconcile/examples/pbx.yaml")).unwrap();
    assert!(!check().status.success(), "no example");
}
