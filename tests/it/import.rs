//! `reconcile import`: from CSV lists, and from the phones of a real Asterisk.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use super::{
    sipp::Phone,
    support::{Outcome, TestEnv, until},
};

/// Imports a list that is kept under this name.
fn import(env: &TestEnv, name: &str, text: &str, more: &str) -> Outcome {
    fs::write(env.path("work").join(name), text).expect("a file");
    env.run(&format!("import {name} --tenant acme {more}"))
}

#[test]
fn a_plain_list_becomes_a_file_that_pins_every_number_and_a_file_of_secrets() {
    let env = TestEnv::new();
    let list = "name,email,extension,secret\nIra Quill,ira.quill@acme.example,1001,syn-7fQ2mLx9Kd\n\
                \"Berg, Tomas\",tomas.berg@acme.example,1002,syn-Rt5wZp8Vb3\nNoor Adeyemi,noor@acme.example,,\n";
    let done = import(&env, "staff.csv", list, "-o pbx.yaml --secrets acme.secrets").expect(0);
    assert_eq!(done.stdout, "");
    assert_eq!(done.stderr, "Imported: 3 users; 2 secrets in `acme.secrets`; 0 things not carried over\n");
    let file = fs::read_to_string(env.path("work/pbx.yaml")).expect("a file");
    assert_eq!(
        file,
        "# Imported from staff.csv.\nversion: 1\ntenant: acme\nextensions:\n  range: 1000-1099\nusers:\n  \
         - email: ira.quill@acme.example\n    name: Ira Quill\n    extension: 1001\n  \
         - email: tomas.berg@acme.example\n    name: \"Berg, Tomas\"\n    extension: 1002\n  \
         - email: noor@acme.example\n    name: Noor Adeyemi\n"
    );
    let secrets = env.path("work/acme.secrets");
    assert_eq!(fs::metadata(&secrets).expect("a file").permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&secrets).expect("a file");
    assert_eq!(text, "ira.quill@acme.example\tsyn-7fQ2mLx9Kd\ntomas.berg@acme.example\tsyn-Rt5wZp8Vb3\n");
    env.run("check").expect(0);

    // The secrets are taken once, and the plan says of whom.
    let without = env.run("plan").expect(0);
    let with = env.run("plan --secrets acme.secrets").expect(0);
    let imported = "  + ira.quill@acme.example   extension 1001 (pinned); secret imported  pbx.yaml:7\n";
    assert!(
        with.stdout.contains(imported) && with.stdout.contains("extension 1000 (lowest free)  "),
        "{}",
        with.text()
    );
    assert_eq!(with.stdout.matches("secret imported").count(), 2, "{}", with.text());
    let id =
        |plan: &Outcome| plan.stdout.lines().find_map(|line| line.split_once("--expect ")).map(|(_, id)| id.to_owned());
    assert!(id(&with).is_some() && id(&with) != id(&without), "{}{}", with.text(), without.text());
    env.run("sync --secrets acme.secrets").expect(0);
    let shown = env.run("secret show ira.quill@acme.example").expect(0);
    assert!(shown.stdout.contains("syn-7fQ2mLx9Kd"), "{}", shown.text());
    // From now on it is a secret like a generated one.
    let changes_no_row =
        |plan: &Outcome| ["  + ", "  ~ ", "secret imported"].iter().all(|row| !plan.stdout.contains(row));
    for plan in ["plan", "plan --secrets acme.secrets"] {
        let plan = env.run(plan).expect(0);
        assert!(changes_no_row(&plan), "{}", plan.text());
    }
    fs::write(&secrets, "ira.quill@acme.example\tanother-secret-1\n").expect("a file");
    let plan = env.run("plan --secrets acme.secrets").expect(0);
    assert!(changes_no_row(&plan), "{}", plan.text());
}

#[test]
fn lists_of_other_programs_are_recognised_by_their_header() {
    let env = TestEnv::new();
    let freepbx = "extension,name,tech,secret,voicemail,voicemail_email,max_contacts,allow,webrtc,dial\n\
                   2001,Ira Quill,pjsip,synPq4nDx7Wj2Kc,default,ira@acme.example,2,ulaw&alaw,no,PJSIP/2001\n\
                   2002,Tomas Berg,sip,REGEN,novm,,1,ulaw&alaw,no,\n\
                   2003,Nobody,virtual,,novm,,1,,,\n2004,Browser,pjsip,synPq4nDx7Wj2Kd,novm,,1,ulaw&alaw,yes,\n";
    let done = import(&env, "extensions.csv", freepbx, "--email-domain acme.example").expect(0);
    assert_eq!(
        done.stdout,
        "# Imported from extensions.csv.\nversion: 1\ntenant: acme\nextensions:\n  range: 2000-2099\n  \
         reserved: [2003]\nphones:\n  codecs: [\"ulaw\", \"alaw\"]\n  devices: 1\nusers:\n  \
         - email: ira@acme.example\n    name: Ira Quill\n    extension: 2001\n    phone: { devices: 2 }\n  \
         - email: \"2002@acme.example\"\n    name: Tomas Berg\n    extension: 2002\n  \
         - email: \"2004@acme.example\"\n    name: \"Browser\"\n    extension: 2004\n"
    );
    assert_eq!(
        done.stderr,
        "Not carried over:\nphones that are not imported, or do not work as they are set up:\n  \
         extensions.csv:3: its secret is `REGEN`: it gets a new one\n  \
         extensions.csv:4: not imported: a number without a phone; it is reserved\n  \
         extensions.csv:5: a browser phone: it has no sound without WebRTC, which is not carried over\n\
         features that are not carried over:\n  extensions.csv:2: voicemail\n\
         left out:\n  extensions.csv:1: columns that are not read: dial\n\
         note: 2 e-mail addresses are made up, such as `2002@acme.example`: correct them in the file, or import again with \
         another `--email-domain` or with `--map email=COLUMN`\nImported: 3 users; 2 secrets not written (see --secrets): those phones would get new ones; 5 things not \
         carried over\n"
    );

    let wazo = "firstname,lastname,email,enabled,exten,line_protocol,sip_username,sip_secret\n\
                Ira,Quill,ira@acme.example,1,1701,sip,qmzkdwpe,ahfkqzte\n\
                Tomas,,tomas@acme.example,0,1702,sip,vrtyplsn,wmcyxeob\n";
    let done = import(&env, "wazo.csv", wazo, "--strict").expect(1);
    assert!(done.stdout.contains("name: Ira Quill\n    extension: 1701\n"), "{}", done.text());
    for line in [
        "wazo.csv:2: its secret has fewer than 12 characters\n",
        "wazo.csv:2: logs in as `qmzkdwpe`; set it up anew, with the user name 1701\n",
        "wazo.csv:3: not imported: the user is not enabled\n",
    ] {
        assert!(done.stderr.contains(line), "{}", done.text());
    }

    let staff = "Personnel No;Last name;First name;Mail address;Phone ext.\n17;Quill;Ira;Ira@ACME.example;1001.0\n\
                 18;Berg;Tomas;;1002\n";
    let refused = import(&env, "staff.csv", staff, "").expect(1);
    assert!(
        refused.stderr.starts_with("error: staff.csv: no column is known to hold: name, extension\n"),
        "{}",
        refused.text()
    );
    assert!(refused.stderr.contains("the columns are `Personnel No`, `Last name`, `First name`"), "{}", refused.text());
    fs::write(env.path("work/staff.csv"), staff).expect("a file");
    let args = [
        "import",
        "staff.csv",
        "--tenant",
        "acme",
        "--map",
        "name=First name+Last name",
        "--map",
        "email=Mail address",
        "--map",
        "extension=Phone ext.",
    ];
    let done = env.outcome(env.command(&args).output().expect("a run")).expect(0);
    assert!(
        done.stdout.contains("- email: Ira@ACME.example\n    name: Ira Quill\n    extension: 1001\n"),
        "{}",
        done.text()
    );
    let told = "staff.csv:3: not imported: there is no e-mail address; give `--email-domain` to make one up\n";
    assert!(done.stderr.contains(told), "{}", done.text());
}

#[test]
fn a_list_that_could_be_misread_is_rejected_or_reported_and_no_secret_is_printed() {
    let env = TestEnv::new();
    for (text, told) in [
        ("name,extension,extension\nA,1,2\n", "error: list.csv:1: the column `extension` is there twice\n"),
        ("extension,name,tech,secret,TECH\n1,A,pjsip,x,sip\n", "error: list.csv:1: the column `tech` is there twice\n"),
        ("name\nA\n", "error: list.csv: no column is known to hold: extension\n"),
        ("name,extension\n\"A,1001\n", "error: list.csv:2: a quote is not closed before the end\n"),
        (
            "extension,name,secret\n1001,\"Ana,canary-secret-x\n1002,Bo,canary-secret-x\n",
            "error: list.csv:2: a quote is not closed before the end\n",
        ),
        ("\"name,extension\nA,1001\n", "error: list.csv:1: a quote is not closed before the end\n"),
        ("", "error: list.csv: no column is known to hold: name, extension\n"),
        (
            "1001,Ana,canary-secret-x9\n",
            "hint: the first line must name the columns, such as `name,email,extension,secret`\n",
        ),
        ("1001,name,canary-secret-x9\n", "the columns are column 1, `name`, column 3\n"),
        (
            "name,extension,email,devices\nA,1001,a@b.example,canary-secret-x\n",
            "list.csv:2: how many devices it has is no number: the row may be shifted\n",
        ),
        (
            "\u{feff}name;extension;secret\nA;0201;canary-secret-x\n",
            "list.csv:2: not imported: its number begins with 0\n",
        ),
        (
            "name,extension,email\nA,1001,a@b.example,canary-secret-x\n",
            "list.csv:2: not imported: 4 fields, but the header has 3\n",
        ),
        (
            "name,extension,email\nA,canary-secret-x,a@b.example\n",
            "list.csv:2: not imported: its number is not one of 1 to 8 digits\n",
        ),
        (
            "name,extension,email\nA,1001,a@b.example\nB,1001,b@b.example\n",
            "list.csv:2 and list.csv:3 have the number 1001; decide whose it is\n",
        ),
    ] {
        let refused = import(&env, "list.csv", text, "--strict").expect(1);
        assert!(refused.stderr.contains(told), "{}", refused.text());
        assert!(!refused.text().contains("canary"), "{}", refused.text());
    }
    // Who has an address gets a number.
    let without = import(&env, "list.csv", "name,email,mail\nA,a@b.example,other@b.example\n", "").expect(0);
    assert!(without.stdout.ends_with("users:\n  - email: a@b.example\n    name: \"A\"\n"), "{}", without.text());
    // A range as wide as numbers can be costs nothing.
    let wide = import(
        &env,
        "list.csv",
        "name,extension,email\nA,10000001,a@b.example\nB,99999999,b@b.example\nC,,c@b.example\n",
        "",
    );
    assert!(wide.expect(0).stdout.contains("  range: 10000000-99999999\n"));
    fs::write(env.path("work/latin.csv"), b"name,extension\nA,1\n\xe5sa,2\n").expect("a file");
    let refused = env.run("import latin.csv --tenant acme").expect(1);
    assert!(refused.stderr.starts_with("error: latin.csv:3: this is not UTF-8\n"), "{}", refused.text());
    let spreadsheet: Vec<u8> =
        "\u{feff}name\temail\textension\nÅsa\ta@b.example\t1001\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(env.path("work/wide.csv"), spreadsheet).expect("a file");
    assert!(env.run("import wide.csv --tenant acme").expect(0).stdout.contains("extension: 1001"));

    // Files that are there stay as they are.
    let list = "name,extension,email,secret\nA,1001,a@b.example,canary-secret-x\n";
    fs::write(env.path("work/pbx.yaml"), "mine").expect("a file");
    let refused = import(&env, "list.csv", list, "-o pbx.yaml --secrets new.secrets").expect(1);
    assert!(refused.stderr.starts_with("error: `pbx.yaml` is there already\n"), "{}", refused.text());
    assert_eq!(fs::read_to_string(env.path("work/pbx.yaml")).expect("a file"), "mine");
    assert!(!env.path("work/new.secrets").exists());
}

#[test]
fn a_file_of_secrets_that_others_can_read_or_commit_is_rejected() {
    let env = TestEnv::new();
    env.write("pbx.yaml", "version: 1\ntenant: acme\nusers:\n  - { email: a@b.example, name: A }\n");
    let secrets = env.path("work/acme.secrets");
    let close = |mode| fs::set_permissions(&secrets, fs::Permissions::from_mode(mode)).expect("a mode");
    fs::write(&secrets, "a@b.example\tcanary-secret-x\nb@b.example\tcanary-secret-y\n").expect("a file");
    close(0o644);
    let refused = env.run("plan --secrets acme.secrets").expect(1);
    assert!(refused.stderr.contains("other users may read or write `acme.secrets`"), "{}", refused.text());
    close(0o600);
    let plan = env.run("plan --secrets acme.secrets").expect(0);
    assert!(plan.stderr.contains("holds secrets of 1 user whom the file does not declare\n"), "{}", plan.text());
    for line in [
        "a@b.example canary-secret-x\n",
        "a@b.example\tcanary secret\n",
        "a@b.example\tcanary1\nA@b.example\tcanary2\n",
    ] {
        fs::write(&secrets, line).expect("a file");
        let refused = env.run("plan --secrets acme.secrets").expect(1);
        assert!(refused.stderr.starts_with("error: line ") && !refused.text().contains("canary"), "{}", refused.text());
    }
    fs::create_dir(env.path("work/.git")).expect("a folder");
    let refused = env.run("plan --secrets acme.secrets").expect(1);
    assert!(refused.stderr.contains("lies in the git work tree"), "{}", refused.text());
    let refused = import(&env, "list.csv", "name,extension\nA,1\n", "--secrets more.secrets").expect(1);
    assert!(refused.stderr.contains("would lie in the git work tree"), "{}", refused.text());
    fs::remove_dir(env.path("work/.git")).expect("a folder");
    // A pipe, as of a program that decrypts.
    let mut plan: Command = env.command(&["plan", "--secrets", "/dev/stdin"]);
    fs::write(&secrets, "a@b.example\tcanary-secret-x\n").expect("a file");
    let planned = plan.stdin(fs::File::open(&secrets).expect("a file")).output().expect("a run");
    let planned = env.outcome(planned).expect(0);
    assert!(planned.stdout.contains("secret imported") && !planned.text().contains("canary"), "{}", planned.text());
}

/// What an operator wrote by hand: templates, names that are no numbers, other things than phones.
const PJSIP: &str = "
[base](!)
type=endpoint
context=office
disallow=all
allow=g722,alaw
transport=transport-udp
[login](!)
type=auth
auth_type=userpass
[one](!)
type=aor
max_contacts=1

[1101](base)
auth=1101
aors=1101
callerid=Ira Quill <1101>
[1101](login)
username=1101
password=syn\\;tpl-1101-Zk2
[1101](one)
mailboxes=1101@acme

[1102](base)
allow=!all,ulaw
auth=1102
aors=1102
callerid=\"Berg, Tomas\" <1102>
[1102](login)
username=1102
password=syn-tpl-1102-Mv8
[1102](one)
max_contacts=4

[carla](base)
auth=auth-carla
aors=carla
[auth-carla](login)
username=carla
password=syn-name-carla-Wp6
[carla](one)

[1109](base)
context=lobby
auth=1109
aors=1109
[1109](login)
username=1109
password=syn-tpl-1109-Xx1
[1109](one)

[open](base)
aors=open
[open](one)
[carrier](base)
aors=carrier
[carrier]
type=aor
contact=sip:198.51.100.1
";

const DIALPLAN: &str = "
[office]
exten => 1105,1,Playback(menu)
exten => 1120,1,Dial(PJSIP/carla,30)
exten => 1120,hint,PJSIP/carla
include => outside
[outside]
exten => 1108,1,Answer()
exten => 112,1,Dial(PJSIP/112@carrier)
exten => _9.,1,Dial(PJSIP/${EXTEN:1}@carrier)
[lobby]
exten => 1101,1,Dial(PJSIP/1101)
";

#[test]
fn the_phones_of_a_running_asterisk_are_taken_over_with_numbers_and_secrets() {
    let env = TestEnv::with_asterisk();
    let (pjsip, extensions) = (env.etc("pjsip.conf"), env.etc("extensions.conf"));
    let before = [&pjsip, &extensions].map(|path| fs::read_to_string(path).expect("a file"));
    fs::write(&pjsip, before[0].clone() + PJSIP).expect("a file");
    fs::write(&extensions, before[1].clone() + DIALPLAN).expect("a file");
    env.ask("module reload res_pjsip.so");
    env.ask("dialplan reload");
    until("the phones run", || env.ask("pjsip show endpoints").contains("carrier"));
    let phone = Phone::with(&env, "1102".to_owned(), "syn-tpl-1102-Mv8".to_owned());
    phone.registers();

    let done = env.run("import --running --tenant acme --email-domain acme.example -o pbx.yaml --secrets acme.secrets");
    let done = done.expect(0);
    assert_eq!(done.stdout, "");
    assert_eq!(
        done.stderr,
        "Not carried over:\nopen to strangers:\n  \
         endpoint open: not imported: it has no auth, so that whoever registers as it is let in\n\
         who may dial what:\n  endpoint 1109: it stays in the context `lobby`; most phones dial in `office`\n\
         phones that are not imported, or do not work as they are set up:\n  \
         endpoint carrier: not imported: a trunk or a gateway, which does not register here; declare carriers under \
         `trunks`\n  endpoint carla: logs in as `carla`; set it up anew, with the user name 1120\n\
         features that are not carried over:\n  endpoint 1101: voicemail: its lamp stays, but calls that it does not answer no longer reach the box\n\
         settings that change:\n  endpoint 1101, endpoint 1102, endpoint 1109 and 1 more:\n    \
         `default_expiration` 3600 becomes 300\n    `maximum_expiration` 7200 becomes 3600\n    \
         `qualify_frequency` 0 becomes 60\n    `remove_existing` no becomes yes\n    `direct_media` yes becomes no\n    \
         `message_context` becomes acme-nowhere\n    `rewrite_contact` no becomes yes\n    \
         `rtp_symmetric` no becomes yes\n    `rtp_timeout` 0 becomes 120\n    `rtp_timeout_hold` 0 becomes 600\n    \
         `send_pai` no becomes yes\n\
         note: 4 e-mail addresses are made up, such as `1101@acme.example`: correct them in the file, or import again with \
         another `--email-domain`\nImported: 4 users; 4 secrets in `acme.secrets`; 5 things not carried over; 11 settings change\n"
    );
    assert_eq!(
        fs::read_to_string(env.path("work/pbx.yaml")).expect("a file"),
        "# Imported from the running Asterisk.\nversion: 1\ntenant: acme\nextensions:\n  range: 1100-1129\n  \
         reserved: [1105, 1108]\nphones:\n  codecs: [\"g722\", \"alaw\"]\n  devices: 1\n  \
         transport: \"transport-udp\"\ndialplan:\n  include: [\"office\"]\nusers:\n  \
         - email: \"1101@acme.example\"\n    name: Ira Quill\n    extension: 1101\n    phone: { mailbox: \"1101@acme\" }\n  \
         - email: \"1102@acme.example\"\n    name: \"Berg, Tomas\"\n    extension: 1102\n    \
         phone: { codecs: [\"ulaw\"], devices: 4 }\n  \
         - email: \"1109@acme.example\"\n    name: \"1109\"\n    extension: 1109\n    phone: { context: \"lobby\" }\n  \
         - email: \"1120@acme.example\"\n    name: \"1120\"\n    extension: 1120\n"
    );
    let secrets = fs::read_to_string(env.path("work/acme.secrets")).expect("a file");
    assert!(
        secrets.contains("1101@acme.example\tsyn;tpl-1101-Zk2\n1102@acme.example\tsyn-tpl-1102-Mv8\n")
            && secrets.lines().count() == 4,
        "{secrets}"
    );
    assert!(done.stderr.lines().all(|line| !line.contains("syn")), "{}", done.text());

    // The operator's sections go and ours come in one reload: the phone notices nothing.
    env.run("check").expect(0);
    env.run("apply --no-reload --secrets acme.secrets").expect(0);
    fs::write(&pjsip, &before[0]).expect("a file");
    env.run("apply").expect(0);
    assert!(env.ask("pjsip show endpoint 1102").contains("Contact:  1102/sip:"), "{}", env.ask("pjsip show contacts"));
    phone.registers();
    assert!(env.run("plan").expect(0).stdout.contains("No changes"));
    // Another import finds nothing: these phones are ours.
    let refused = env.run("import --running --tenant other --email-domain acme.example").expect(1);
    assert!(
        refused.stderr.starts_with("error: there is no phone to import from the running Asterisk"),
        "{}",
        refused.text()
    );
}

#[test]
fn an_asterisk_that_does_not_run_imports_nothing() {
    let mut env = TestEnv::with_asterisk();
    env.stop_asterisk();
    let refused = env.run("import --running --tenant acme -o pbx.yaml --secrets acme.secrets").expect(1);
    assert!(refused.stderr.starts_with("error: cannot run `"), "{}", refused.text());
    assert!(!env.path("work/pbx.yaml").exists() && !env.path("work/acme.secrets").exists());
}
