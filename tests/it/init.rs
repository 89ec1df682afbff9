//! `reconcile init`: the files to start with, on a host with an Asterisk of its own.

use std::{fs, os::unix::fs::PermissionsExt};

use super::support::TestEnv;

#[test]
fn a_newcomer_gets_files_that_pass_check_and_plan() {
    let env = TestEnv::with_asterisk();
    let conf = env.etc("pjsip.conf");
    let good = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, good.replace("#tryinclude pjsip.d", ";tryinclude pjsip.d")).unwrap();
    let printed = "pbx.yaml\nLINE .gitignore\nLINE .env.example\n\n\
        Add this line at the end of [test]/asterisk/etc/pjsip.conf:\n  \
        #tryinclude pjsip.d/*/generated_endpoints.conf\n\n\
        Then: reconcile check; reconcile plan; reconcile apply\n";
    let expected = |word: &str| format!("{word} {}", printed.replace("LINE", word));
    let (dump, files) = (env.dump(), env.files());
    assert_eq!(env.run("init --tenant acme --dry-run").expect(0).stdout, expected("would write:"));
    assert_eq!(fs::read_dir(env.path("work")).unwrap().count(), 0);
    assert_eq!(env.run("init --tenant acme").expect(0).stdout, expected("wrote:      "));
    assert_eq!((env.dump(), env.files()), (dump, files));
    let file = fs::read_to_string(env.path("work/pbx.yaml")).unwrap();
    assert!(
        file.contains("\n  transport: \"transport-udp\"\n") && file.contains("\n  include: [\"outbound\"]\n"),
        "{file}"
    );
    env.run("check").expect(0);
    fs::write(&conf, good).unwrap();
    env.run("apply").expect(0);
    // What is there stays, whatever it holds.
    env.write("pbx.yaml", "mine\n");
    assert_eq!(
        env.run("init --tenant acme").expect(0).stdout,
        "is there:    pbx.yaml\nis there:    .gitignore\nis there:    .env.example\n\n\
         Then: reconcile check; reconcile plan; reconcile apply\n"
    );
    assert_eq!(fs::read_to_string(env.path("work/pbx.yaml")).unwrap(), "mine\n");
}

#[test]
fn a_recipe_is_written_ready_to_run() {
    let env = TestEnv::new();
    for (ci, script) in [("github", ".github/reconcile/plan.sh"), ("gitlab", ".gitlab/reconcile/plan.sh")] {
        env.run(&format!("init --tenant acme --ci {ci}")).expect(0);
        let path = env.path("work").join(script);
        assert!(fs::metadata(&path).unwrap().permissions().mode() & 0o100 != 0, "{script}");
        let ours = format!("{}/examples/ci/{script}", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(fs::read_to_string(&path).unwrap(), fs::read_to_string(ours).unwrap());
    }
    // A committed link must not lead out of the repository.
    fs::remove_dir_all(env.path("work/.github")).unwrap();
    fs::create_dir(env.path("outside")).unwrap();
    std::os::unix::fs::symlink(env.path("outside"), env.path("work/.github")).unwrap();
    let refused = env.run("init --tenant acme --ci github").expect(1);
    assert_eq!(
        refused.stderr,
        "error: `.github` is a link, and `.github/reconcile/lib.sh` would be written where it leads\n\
         hint: remove the link, and make a folder in its place\n"
    );
    assert_eq!(fs::read_dir(env.path("outside")).unwrap().count(), 0);
    // A link that leads elsewhere is there.
    fs::remove_file(env.path("work/pbx.yaml")).unwrap();
    std::os::unix::fs::symlink(env.path("elsewhere"), env.path("work/pbx.yaml")).unwrap();
    assert!(env.run("init --tenant acme").expect(0).stdout.starts_with("is there:    pbx.yaml\n"));
    assert!(!env.path("elsewhere").exists());
}

#[test]
fn a_folder_whose_name_is_no_tenant_needs_one() {
    let env = TestEnv::new();
    assert!(env.run("init --dry-run").expect(0).stdout.contains("pbx.yaml"), "the folder is called `work`");
    let wrong = env.run("init --tenant Acme!").expect(64);
    assert!(wrong.stderr.contains("error: "), "{}", wrong.text());
}

/// The include was a context with emergency numbers that no phone dials in, and nothing said how phones are taken over.
#[test]
fn on_a_host_with_phones_their_context_is_included_and_the_import_is_named() {
    let env = TestEnv::new();
    let phone = "[1101]\ntype=endpoint\ncontext=internal\nauth=1101\naors=1101\n\
                 [1101]\ntype=auth\nusername=1101\npassword=syn-tpl-1101-Zk2\n[1101]\ntype=aor\nmax_contacts=1\n";
    fs::write(env.etc("pjsip.conf"), phone).unwrap();
    let dialplan = "[emergency]\nexten => 112,1,Answer()\n[internal]\ninclude => emergency\n[lobby]\n";
    fs::write(env.etc("extensions.conf"), dialplan).unwrap();
    let done = env.run("init --tenant acme").expect(0);
    let told = "\nPhones are set up here already. To take them over (docs/taking-over.md):\n  \
                reconcile import --running --tenant acme --email-domain example.com -o imported.yaml \
                --secrets /root/acme.secrets\nThen use imported.yaml instead of pbx.yaml.\n";
    assert!(done.stdout.ends_with(told), "{}", done.text());
    let file = fs::read_to_string(env.path("work/pbx.yaml")).unwrap();
    assert!(file.contains("others are emergency, lobby.\ndialplan:\n  include: [\"internal\"]\n"), "{file}");
    let refused = env.run("import --running --tenant acme -o pbx.yaml").expect(1);
    assert_eq!(
        refused.stderr,
        "error: `pbx.yaml` is there already\nhint: name a new file, such as `-o imported.yaml`, and move what you wrote \
         yourself into it; or remove this one, if it is as `reconcile init` wrote it\n"
    );
}
