//! The samples of `tests/samples`: what administrators already have, in as many styles as there are.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    sipp::Phone,
    support::{Outcome, TestEnv},
};

/// How a style is imported if its folder or list alone does not say it.
const MORE: [(&str, &[&str]); 2] = [
    (
        "csv-hr",
        &["--map", "name=First name+Last name", "--map", "email=Business e-mail", "--map", "extension=Phone ext."],
    ),
    ("csv-google", &["--map", "extension=Employee ID"]),
];

/// What one import left.
struct Imported {
    outcome: Outcome,
    /// The desired state and the secrets; empty if it failed.
    desired: String,
    secrets: String,
}

fn sources(style: &Path) -> Vec<PathBuf> {
    let mut lists: Vec<PathBuf> = fs::read_dir(style).unwrap().map(|entry| entry.unwrap().path()).collect();
    lists.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
    lists.sort();
    if lists.is_empty() { vec![style.to_owned()] } else { lists }
}

/// Imports a source into files of this name.
fn import(env: &TestEnv, style: &str, source: &Path, name: &str) -> Imported {
    let (output, secrets) = (format!("{name}.yaml"), format!("{name}.secrets"));
    let source = source.to_str().unwrap();
    let mut args = vec!["import", source, "--tenant", name, "--email-domain", "acme.example"];
    args.extend(["-o", &output, "--secrets", &secrets]);
    args.extend(MORE.iter().filter(|(of, _)| *of == style).flat_map(|(_, more)| *more));
    let outcome = env.outcome(env.command(&args).output().unwrap());
    let text = |path: &str| fs::read_to_string(env.path("work").join(path)).unwrap_or_default();
    let (desired, secrets) = (text(&output), text(&secrets));
    for secret in secrets.lines().filter_map(|line| line.split_once('\t')).map(|(_, secret)| secret) {
        let shown = [&outcome.stdout, &outcome.stderr, &desired].iter().any(|text| text.contains(secret));
        assert!(!shown, "{name} shows a secret: {}", outcome.text());
    }
    Imported { outcome, desired, secrets }
}

/// All styles, each with its sources and a name for each of them.
fn styles() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let mut styles = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let style = entry.unwrap().path();
        let name = style.file_name().unwrap().to_str().unwrap().to_owned();
        let sources = sources(&style);
        let named = sources.iter().enumerate().map(|(index, source)| {
            let name = if sources.len() == 1 { name.clone() } else { format!("{name}-{}", index + 1) };
            (source.clone(), name)
        });
        styles.insert(name.clone(), named.collect());
    }
    styles
}

#[test]
fn every_sample_imports_passes_check_and_plans_as_new_users_alone() {
    let env = TestEnv::new();
    let styles = styles();
    assert_eq!(styles.len(), 21, "{:?}", styles.keys());
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/");
    for (style, sources) in styles {
        let mut text = String::new();
        for (source, name) in sources {
            let Imported { outcome, desired, secrets } = import(&env, &style, &source, &name);
            text.extend([outcome.text(), desired.clone(), format!("--- secrets\n{secrets}\n")]);
            if outcome.code != 0 {
                continue;
            }
            env.run(&format!("check -f {name}.yaml")).expect(0);
            let users = desired.matches("  - email: ").count();
            let plan = env.run(&format!("plan -f {name}.yaml --secrets {name}.secrets")).expect(0);
            let created = format!("Plan: {users} to create");
            assert!(plan.stdout.contains(&created), "{name}: {}", plan.text());
            let numbers = desired.matches("    extension: ").count();
            assert_eq!(plan.stdout.matches("(pinned)").count(), numbers, "{name}: {}", plan.text());
            assert_eq!(plan.stdout.matches("secret imported").count(), secrets.lines().count(), "{name}");
        }
        insta::assert_snapshot!(format!("sample_{style}"), text.replace(root, "").replace("[test]/", ""));
    }
}

/// A phone knows its server, user and password, and nobody types anything into it.
#[test]
fn the_phones_of_the_samples_register_with_what_they_have() {
    let mut registered = 0;
    for style in ["pjsip-plain", "pjsip-templates", "pjsip-wizard", "freepbx-generated", "sip-conf", "csv-plain"] {
        let env = TestEnv::with_asterisk();
        let (source, name) = styles()[style].last().unwrap().clone();
        let Imported { outcome, desired, secrets } = import(&env, style, &source, &name);
        outcome.expect(0);
        // The contexts and transports of the samples are not here.
        let allowed = format!("apply -f {name}.yaml --secrets {name}.secrets --allow missing-names=9");
        env.run(&allowed).expect(0);
        for (email, secret) in secrets.lines().map(|line| line.split_once('\t').unwrap()) {
            let (_, user) = desired.split_once(email).unwrap();
            let number = user.split_once("extension: ").unwrap().1.lines().next().unwrap();
            Phone::with(&env, number.to_owned(), secret.to_owned()).registers();
            registered += 1;
        }
    }
    assert_eq!(registered, 12);
}

fn conf(env: &TestEnv, files: &[(&str, &str)], more: &str) -> Outcome {
    for (name, text) in files {
        env.write(&format!("etc/{name}"), text);
    }
    env.run(&format!("import etc --tenant acme --email-domain acme.example {more}"))
}

const PHONE: &str = "[1101]\ntype=endpoint\ncontext=office\nallow=alaw\nauth=1101\naors=1101\n\
                     [1101]\ntype=auth\nusername=1101\npassword=canary-secret-1\n[1101]\ntype=aor\nmax_contacts=1\n";

#[test]
fn what_asterisk_would_reject_is_an_error_and_nothing_is_written() {
    let env = TestEnv::new();
    env.plant("canary-secret-1");
    let refused =
        conf(&env, &[("pjsip.conf", &format!("{PHONE}[1102](base\ntype=endpoint\n"))], "-o pbx.yaml").expect(1);
    assert_eq!(
        refused.stderr,
        "error: pjsip.conf:14: a section without `)`: Asterisk reads nothing behind it\n\
         hint: correct it: Asterisk does not run what the file says; or ask the running Asterisk (`--running`)\n"
    );
    assert!(!env.path("work/pbx.yaml").exists());
    let twice = format!("{PHONE}{PHONE}");
    let refused = conf(&env, &[("pjsip.conf", &twice)], "").expect(1);
    assert!(
        refused.stderr.starts_with(
            "error: pjsip.conf:14: the same endpoint as at pjsip.conf:1: Asterisk starts without any endpoint if it has \
             one of them twice\npjsip.conf:20: the same auth as"
        ),
        "{}",
        refused.text()
    );
    let cycle =
        [("pjsip.conf", "#include a.conf\n"), ("a.conf", "[a]\n#include b.conf\n"), ("b.conf", "#include a.conf\n")];
    let refused = conf(&env, &cycle, "").expect(1);
    assert!(refused.stderr.starts_with("error: b.conf:1: the file includes itself"), "{}", refused.text());

    // A program of the operator's, or of whoever sent the files.
    let ran = env.path("work/ran");
    let exec = format!("#exec /bin/touch {}\n{PHONE}", ran.display());
    let refused = conf(&env, &[("pjsip.conf", &exec)], "").expect(1);
    assert!(refused.stderr.contains("pjsip.conf:1: `#exec` is never run by an import\n"), "{}", refused.text());
    assert!(!ran.exists());
    let refused = env.run("import . --tenant acme").expect(1);
    assert!(refused.stderr.contains("holds no pjsip.conf, pjsip_wizard.conf or sip.conf"), "{}", refused.text());
    // In the dialplan, which is only looked into, the rest is not known.
    let dialplan =
        [("pjsip.conf", PHONE), ("extensions.conf", "[office]\n#exec /bin/false\nexten => 1105,1,Answer()\n")];
    let done = conf(&env, &dialplan, "").expect(0);
    assert!(
        done.stderr.contains("extensions.conf:2: `#exec` is not run: what is behind it in the dialplan is not known\n"),
        "{}",
        done.text()
    );
}

#[test]
fn odd_values_are_read_as_asterisk_reads_them() {
    let env = TestEnv::new();
    let phone = |number: u32, password: &str| {
        PHONE.replace("1101", &number.to_string()).replace("password=canary-secret-1", password)
    };
    let text = [
        phone(1101, "password = a\\;b\\;--c ; a note"),
        phone(1102, "Password => two words"),
        phone(1103, "password=>arrow-secret"),
        phone(1104, "password=\"quoted-secret\""),
    ];
    let done = conf(&env, &[("pjsip.conf", &text.concat())], "-o pbx.yaml --secrets acme.secrets").expect(0);
    assert_eq!(
        fs::read_to_string(env.path("work/acme.secrets")).unwrap(),
        "1101@acme.example\ta;b;--c\n1103@acme.example\tarrow-secret\n1104@acme.example\t\"quoted-secret\"\n"
    );
    assert!(done.stderr.contains("pjsip.conf:14 1102: it gets a new secret, because "), "{}", done.text());
}

/// An `-o` that cannot be written left the secrets behind.
#[test]
fn a_file_that_cannot_be_written_leaves_no_secrets_behind() {
    let env = TestEnv::new();
    let refused = conf(&env, &[("pjsip.conf", PHONE)], "--secrets acme.secrets -o none/pbx.yaml").expect(1);
    assert!(refused.stderr.starts_with("error: cannot create `none/pbx.yaml`"), "{}", refused.text());
    assert!(!env.path("work/acme.secrets").exists());
}

#[test]
fn the_list_is_also_a_document_with_a_schema() {
    let env = TestEnv::new();
    let done = conf(&env, &[("pjsip.conf", PHONE)], "--format json").expect(0);
    assert!(!done.text().contains("canary"), "{}", done.text());
    let document: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    let schema = serde_json::from_str(include_str!("../../schema/import.schema.json")).unwrap();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("import.json", schema).unwrap();
    let mut schemas = boon::Schemas::new();
    let schema = compiler.compile("import.json", &mut schemas).unwrap();
    schemas.validate(&document, schema).unwrap();
    assert_eq!(document["users"], 1);
    assert!(document["desired_state"].as_str().unwrap().contains("extension: 1101"));
    assert_eq!(document["not_carried_over"][0]["rank"], "dial");
}

/// `patch` adds lines, and what Asterisk reads of the files is the rest.
#[test]
fn a_patch_comments_imported_sections_out_and_quotes_no_secret() {
    let env = TestEnv::new();
    env.plant("canary-secret-1");
    let (other, third) = (PHONE.replace("1101", "1102"), PHONE.replace("1101", "1103"));
    let text = format!(
        "[base](!)\ntype=endpoint\n\n; the door\n{PHONE}\n{other}; a note\n{third}[carrier]\ntype=aor\ncontact=sip:192.0.2.1\n"
    );
    let files = [("pjsip.conf", text.as_str()), ("extensions.conf", "[office]\nexten => 112,1,Answer()\n")];
    conf(&env, &files, "--only 1101-1102 -o pbx.yaml --patch acme.patch").expect(0);
    let patch = fs::read_to_string(env.path("work/acme.patch")).unwrap();
    insta::assert_snapshot!(patch, @r"
    --- a/extensions.conf
    +++ b/extensions.conf
    @@ -2,0 +3,1 @@
    +#tryinclude extensions.d/*/generated_routing.conf
    --- a/pjsip.conf
    +++ b/pjsip.conf
    @@ -5,1 +5,2 @@
    +;-- taken over by reconcile
     [1101]
    @@ -31,0 +33,1 @@
    +--;
    @@ -48,0 +51,1 @@
    +#tryinclude pjsip.d/*/generated_endpoints.conf
    ");
    let apply = |args: &[&str]| {
        let done = Command::new("patch")
            .args(args)
            .args(["-p1", "-i", "../acme.patch"])
            .current_dir(env.path("work/etc"))
            .output();
        let done = done.expect("patch runs");
        assert!(done.status.success(), "{done:?}");
        assert!(!String::from_utf8_lossy(&done.stdout).contains("fuzz"), "{done:?}");
    };
    apply(&[]);
    let left = env.run("import etc --tenant acme --email-domain acme.example").expect(0);
    assert!(
        left.stdout.contains("extension: 1103") && left.stdout.matches("extension:").count() == 1,
        "{}",
        left.text()
    );
    apply(&["-R"]);
    assert_eq!(fs::read_to_string(env.path("work/etc/pjsip.conf")).unwrap(), text);

    // A comment that ends in the section would end the one around it.
    let text = PHONE.replace("type=aor\n", "type=aor\n; an old line --;\n");
    env.write("odd/pjsip.conf", &text);
    env.write("odd/extensions.conf", "");
    let refused = env.run("import odd --tenant acme --email-domain acme.example --patch odd.patch").expect(1);
    assert!(refused.stderr.contains("cannot be commented out"), "{}", refused.text());
    assert!(!env.path("work/odd.patch").exists());
}
