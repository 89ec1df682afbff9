//! Secrets in the forms of `docs/secrets.md`: what stores of secrets put into files, variables and pipes.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
};

use super::support::{KEY, TestEnv, desired};

const BO: &str = "email: bo.li@example.com, name: Bo Li, secret: { file: bo }";

/// Applies with a folder that holds all secrets, and shows what the phone got.
fn secret_from(env: &TestEnv, folder: &Path) -> String {
    env.write("pbx.yaml", &desired(&[BO]));
    let files = |command: &mut Command| {
        command.env_remove("DATABASE_URL").env("DATABASE_URL_FILE", folder.join("database-url"));
        command.env_remove("RECONCILE_SECRET_KEY").env("RECONCILE_SECRET_KEY_FILE", folder.join("secret-key"));
    };
    let mut apply = env.command(&["apply", "--no-reload", "--secrets-dir", folder.to_str().unwrap()]);
    files(&mut apply);
    env.outcome(apply.output().unwrap()).expect(0);
    let mut show = env.command(&["secret", "show", "bo.li@example.com"]);
    files(&mut show);
    let shown = env.outcome(show.output().unwrap()).expect(0).stdout;
    shown.lines().find_map(|line| line.strip_prefix("secret    ")).unwrap().to_owned()
}

/// Writes the secrets as a store does, with a line break at their end or not.
fn store(env: &TestEnv, folder: &Path, secret: &str, end: &str, mode: u32) {
    fs::create_dir_all(folder).unwrap();
    for (name, text) in [("database-url", env.database.as_deref().unwrap()), ("secret-key", KEY), ("bo", secret)] {
        fs::write(folder.join(name), format!("{text}{end}")).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn files_of_systemd_and_of_vault_agent_are_taken() {
    let env = TestEnv::new();
    let (credentials, vault) = (env.path("credentials"), env.path("vault"));
    store(&env, &credentials, "credential-of-bo-1", "", 0o400);
    assert_eq!(secret_from(&env, &credentials), "credential-of-bo-1");
    store(&env, &vault, "rendered-for-bo-2", "\n", 0o400);
    assert_eq!(secret_from(&env, &vault), "rendered-for-bo-2");
}

/// Each key is a link to a link to a folder, which is replaced as a whole.
#[test]
fn a_volume_of_kubernetes_is_taken_before_and_after_a_change() {
    let env = TestEnv::new();
    let volume = env.path("volume");
    for (version, secret) in [("..2026_11_30", "mounted-for-bo-1"), ("..2026_12_01", "mounted-for-bo-2")] {
        store(&env, &volume.join(version), secret, "", 0o644);
        let _ = fs::remove_file(volume.join("..data"));
        symlink(version, volume.join("..data")).unwrap();
        for name in ["database-url", "secret-key", "bo"] {
            let _ = fs::remove_file(volume.join(name));
            symlink(format!("..data/{name}"), volume.join(name)).unwrap();
        }
        assert_eq!(secret_from(&env, &volume), secret);
    }
}

/// What `sops exec-env` and `<(sops -d ..)` give to a command.
#[test]
fn variables_and_pipes_of_sops_are_taken() {
    let mut env = TestEnv::new();
    env.set("BO_SIP_SECRET", "variable-of-bo-1");
    env.write("pbx.yaml", &desired(&["email: bo.li@example.com, name: Bo Li, secret: { env: BO_SIP_SECRET }"]));
    env.run("sync").expect(0);
    assert!(env.run("secret show bo.li@example.com").expect(0).stdout.contains("variable-of-bo-1"));
    let two =
        ["email: bo.li@example.com, name: Bo Li, secret: { env: BO_SIP_SECRET }", "email: cy@example.com, name: Cy"];
    env.write("pbx.yaml", &desired(&two));
    let line = "exec \"$0\" sync --secrets <(printf 'cy@example.com\\tpiped-for-cy-22\\n')";
    let prepared = env.command(&[]);
    let mut bash = Command::new("bash");
    bash.args(["-c", line]).arg(prepared.get_program()).env_clear().current_dir(env.path("work"));
    bash.envs(prepared.get_envs().filter_map(|(name, value)| Some((name, value?))));
    env.outcome(bash.output().unwrap()).expect(0);
    assert!(env.run("secret show cy@example.com").expect(0).stdout.contains("piped-for-cy-22"));
}
