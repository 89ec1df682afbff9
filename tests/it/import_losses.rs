//! What an import does not carry over is listed: restrictions first, settings that change, and nothing of other phones.

use std::{collections::BTreeSet, fs};

use super::support::{Outcome, TestEnv, until};

/// A phone with these further lines of its endpoint and of its AOR.
fn phone(number: u32, endpoint: &str, aor: &str) -> String {
    format!(
        "[{number}]\ntype=endpoint\ncontext=office\nallow=alaw\nauth={number}\naors={number}\n{endpoint}\
         [{number}]\ntype=auth\nusername={number}\npassword=syn-tpl-{number}-Zk2\n\
         [{number}]\ntype=aor\nmax_contacts=1\n{aor}"
    )
}

/// Phones of a running system: one that is restricted, one that is plain, one that encrypts, and a carrier.
fn phones() -> String {
    let restricted = "deny=0.0.0.0/0\npermit=10.0.0.0/8\nallow_transfer=no\nset_var=PIN=canary-pin\ndtmf_mode=info\n\
                      allow_subscribe=no\ndevice_state_busy_at=1\nmoh_suggest=jazz\n\
                      outbound_proxy=sip:192.0.2.1\\;lr\nfrom_user=ira\nmessage_context=office\nt38_udptl=yes\n\
                      timers=no\nnamed_call_group=sales\n";
    let aor = "support_path=yes\nqualify_frequency=30\nmaximum_expiration=600\n";
    let carrier = "[carrier]\ntype=endpoint\naors=carrier\n[carrier]\ntype=aor\ncontact=sip:198.51.100.1\n";
    let encrypted = phone(1103, "media_encryption=sdes\nrtp_timeout=30\n", "remove_existing=yes\n");
    [phone(1101, restricted, aor), phone(1102, "", ""), encrypted, carrier.to_owned()].concat()
}

const DIALPLAN: &str = "\n[office]\nexten => _110X,1,Dial(PJSIP/${EXTEN},30)\n";

/// An Asterisk that runs them.
fn operated() -> TestEnv {
    let env = TestEnv::with_asterisk();
    for (name, more) in [("pjsip.conf", phones()), ("extensions.conf", DIALPLAN.to_owned())] {
        let path = env.etc(name);
        fs::write(&path, fs::read_to_string(&path).unwrap() + &more).unwrap();
    }
    env.ask("module reload res_pjsip.so");
    env.ask("dialplan reload");
    until("the phones run", || env.ask("pjsip show endpoints").contains("carrier"));
    for number in 1101..1104 {
        env.plant(&format!("syn-tpl-{number}-Zk2"));
    }
    env.plant("canary-pin");
    env
}

fn import(env: &TestEnv, source: &str) -> Outcome {
    env.run(&format!("import {source} --tenant acme --email-domain acme.example"))
}

/// A phone that was let in from one network logged in from anywhere, and nothing said so.
#[test]
fn every_setting_that_is_lost_or_changes_is_listed_and_restrictions_come_first() {
    let env = operated();
    let running = import(&env, "--running").expect(0);
    insta::assert_snapshot!(running.stderr);
    assert_eq!(import(&env, "--running --strict").code, 1);

    // Files say the same of these phones, with their places.
    let files = import(&env, env.etc("").to_str().unwrap()).expect(0).stderr;
    let what = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with("    `"));
        lines.map(str::to_owned).collect()
    };
    assert!(files.starts_with("Not carried over:\nrestrictions that are lost:\n  pjsip.conf:7 1101:\n"), "{files}");
    for line in what(&running.stderr).iter().filter(|line| !line.contains("acl")) {
        assert!(what(&files).contains(line), "{line} is not in {files}");
    }

    let document = import(&env, "--running --format json").expect(0).stdout;
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    let lost = document["not_carried_over"].as_array().unwrap();
    let first = &lost[0];
    assert_eq!((&first["rank"], &first["place"]), (&"restriction".into(), &"endpoint 1101".into()), "{first}");
    let setting = |what: &str| lost.iter().filter(|lost| lost["rank"] == "setting" && lost["what"] == what).count();
    assert_eq!(setting("`rtp_timeout` 0 becomes 120"), 2);
    assert_eq!(setting("`rtp_timeout` 30 becomes 120"), 1);
}

/// Options at Asterisk's defaults are no loss: our table of defaults is that of the Asterisk that runs.
#[test]
fn a_plain_phone_loses_nothing_but_what_the_profile_sets() {
    let env = operated();
    let [running, files] = ["--running", env.etc("").to_str().unwrap()].map(|source| {
        let done = import(&env, &format!("{source} --only 1102")).expect(0);
        done.stderr.replace("endpoint 1102", "PLACE").lines().map(without_line).collect::<Vec<_>>().join("\n")
    });
    insta::assert_snapshot!(running);
    assert_eq!(running, files);
}

/// Replaces the place of a file.
fn without_line(line: &str) -> String {
    match line.trim_start().strip_prefix("pjsip.conf:").and_then(|rest| rest.split_once(" 1102")) {
        Some((_, rest)) => format!("  PLACE{rest}"),
        None => line.to_owned(),
    }
}

#[test]
fn only_what_is_imported_is_listed() {
    let env = operated();
    for source in ["--running", env.etc("").to_str().unwrap()] {
        let done = import(&env, &format!("{source} --only 1101-1102")).expect(0);
        assert!(!done.stderr.contains("media_encryption") && !done.stderr.contains("carrier"), "{}", done.text());
        assert!(done.stderr.contains("`timers` no becomes yes"), "{}", done.text());
    }
}

/// Phones that Asterisk never had were imported as if they ran.
#[test]
fn what_asterisk_does_not_load_is_not_imported_and_named_by_its_line() {
    let env = TestEnv::with_asterisk();
    let odd = [
        phone(1101, "", ""),
        phone(1102, "foo=1\n", ""),
        phone(1103, "rtp_timeout=abc\n", ""),
        phone(1104, "", "max_contacts=1x\n"),
        phone(1105, "", "").replace("type=endpoint", "type=Endpoint"),
        phone(1106, "", "").replace("type=auth", "type=auth\nfoo=1"),
        phone(1107, "\u{a0}timers=no\n", ""),
        phone(1108, "\u{1}timers=no\n@x=1\n", ""),
        phone(1109, "deny=0.0.0.0/0\ncontact_user=x\nsecurity_mechanisms=\nTimers=no\n", ""),
    ];
    let path = env.etc("pjsip.conf");
    fs::write(&path, fs::read_to_string(&path).unwrap() + &odd.concat()).unwrap();
    env.ask("module reload res_pjsip.so");
    for number in 1101..1110 {
        env.plant(&format!("syn-tpl-{number}-Zk2"));
    }
    let files = import(&env, env.etc("").to_str().unwrap()).expect(0);
    let numbers = |yaml: &str| -> Vec<String> {
        yaml.lines().filter_map(|line| line.strip_prefix("    extension: ")).map(str::to_owned).collect()
    };
    assert_eq!(numbers(&files.stdout), ["1101", "1108", "1109"], "{}", files.text());
    let listed = env.ask("pjsip list endpoints");
    for number in 1101..1110 {
        let is_loaded = listed.contains(&format!(" {number} "));
        // Its auth or AOR is missing there, so that no phone can log in.
        let lacks = [1104, 1106].contains(&number);
        assert_eq!(is_loaded && !lacks, [1101, 1108, 1109].contains(&number), "{number}: {listed}");
    }
    for line in [
        "`foo` is no option of an endpoint",
        "`foo` is no option of an auth",
        "`rtp_timeout` is no number",
        "`max_contacts` is no number",
        "not imported: Asterisk knows no such type; it is written `endpoint`",
    ] {
        assert!(files.stderr.contains(line), "{line}: {}", files.text());
    }
    let text = fs::read_to_string(&path).unwrap();
    let line = text.lines().position(|line| line == "foo=1").unwrap() + 1;
    let told = format!("because Asterisk does not load it: pjsip.conf:{line} `foo` is no option of an endpoint");
    assert!(files.stderr.contains(&told), "{told}: {}", files.text());
}

/// The import knows the options of the Asterisk that runs, neither more nor fewer.
#[test]
fn the_table_of_options_is_that_of_asterisks_own_documentation() {
    let env = TestEnv::with_asterisk();
    let of = |text: &str, kind: &str| -> BTreeSet<String> {
        let lines = text.lines().skip_while(|line| *line != format!("[{kind}]")).skip(1);
        let lines = lines.take_while(|line| !line.starts_with('['));
        lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    };
    for kind in ["endpoint", "aor", "auth"] {
        let help = env.ask(&format!("config show help res_pjsip {kind}"));
        let options = help.lines().filter_map(|line| line.split_once(" -- ")).map(|(name, _)| name.trim().to_owned());
        let mut known = of(include_str!("../../src/import/asterisk_22.txt"), kind);
        known.extend(of(include_str!("../../src/import/conf/unshown.txt"), kind));
        assert_eq!(options.collect::<BTreeSet<_>>(), known, "{kind}");
    }
}

/// A phone without a context came into that of most phones, and dialled over the carrier; one with a digest got the
/// password that Asterisk no longer took.
#[test]
fn a_phone_comes_into_no_other_context_and_gets_no_dead_password() {
    let env = TestEnv::with_asterisk();
    let etc = env.path("operated");
    fs::create_dir(&etc).unwrap();
    let plain = |number: u32| phone(number, "", "").replace("syn-tpl", "canary");
    let without = plain(1103).replace("context=office\n", "");
    let odd = plain(1104).replace("context=office\n", "context=nur intern\n");
    let digest =
        plain(1105).replace("password=", "md5_cred=0123456789abcdef0123456789abcdef\nauth_type=md5\npassword=");
    let named = plain(1106).replace("1106", "north-gen-7");
    let all = [plain(1101), plain(1102), without, odd, digest, named].concat();
    fs::write(etc.join("pjsip.conf"), all).unwrap();
    fs::write(etc.join("extensions.conf"), DIALPLAN).unwrap();
    for number in 1101..1107 {
        env.plant(&format!("canary-{number}-Zk2"));
    }
    let done = env.run(&format!(
        "import {} --tenant acme --email-domain acme.example -o pbx.yaml --secrets acme.secrets",
        etc.display()
    ));
    let list = done.expect(0).stderr;
    let file = fs::read_to_string(env.path("work/pbx.yaml")).unwrap();
    assert!(file.contains("    extension: 1103\n    phone: { context: \"default\" }\n"), "{file}");
    assert!(!file.contains("1104"), "{file}");
    for line in [
        "it stays in the context `default`; most phones dial in `office`",
        "    not imported: in the context of most phones it could dial what it may not",
        "only a digest of its secret is known: it gets a new one",
        "north-gen-7",
    ] {
        assert!(list.contains(line), "{line}: {list}");
    }
    let secrets = fs::read_to_string(env.path("work/acme.secrets")).unwrap();
    assert!(secrets.contains("canary-1101-Zk2") && !secrets.contains("1105"), "{list}");
}
