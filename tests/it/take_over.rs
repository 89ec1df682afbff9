//! A running system is taken over while its phones are registered and talk.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use super::{
    phones::registered,
    sipp::Phone,
    support::{TestEnv, until},
};

/// What an operator wrote by hand, with phones of these numbers.
fn by_hand(numbers: &[u32]) -> String {
    let templates = "\n[base](!)\ntype=endpoint\ncontext=outbound\ndisallow=all\nallow=ulaw,alaw\ndirect_media=no\n[login](!)\ntype=auth\n\
                     auth_type=userpass\n[one](!)\ntype=aor\nmax_contacts=1\n";
    let phone = |number: &u32| {
        format!(
            "\n[{number}](base)\nauth={number}\naors={number}\n[{number}](login)\nusername={number}\n\
             password={}\n[{number}](one)\n",
            secret(*number)
        )
    };
    templates.to_owned() + &numbers.iter().map(phone).collect::<String>()
}

fn secret(number: u32) -> String {
    format!("canary-of-{number}-Zk2")
}

/// An Asterisk with such phones, and nothing of ours.
fn operated(numbers: &[u32]) -> TestEnv {
    let env = TestEnv::with_asterisk();
    let (pjsip, extensions) = (env.etc("pjsip.conf"), env.etc("extensions.conf"));
    let without_ours = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').filter(|line| !line.contains("generated_")).collect();
        lines.concat()
    };
    fs::write(&pjsip, without_ours(&pjsip) + &by_hand(numbers)).unwrap();
    let dials = "\n[outbound](+)\nexten => _110X,1,Dial(PJSIP/${EXTEN},30)\n";
    fs::write(&extensions, without_ours(&extensions) + dials).unwrap();
    env.ask("module reload res_pjsip.so");
    env.ask("dialplan reload");
    for number in numbers {
        env.plant(&secret(*number));
    }
    env
}

fn patch(env: &TestEnv, args: &[&str], name: &str) {
    let patch = Command::new("patch")
        .args(args)
        .args(["-p1", "-i"])
        .arg(env.path("work").join(name))
        .current_dir(env.etc(""))
        .output();
    let patch = patch.expect("patch runs");
    assert!(patch.status.success(), "{patch:?}");
}

fn talking(env: &TestEnv) -> usize {
    env.ask("core show channels concise").lines().filter(|line| line.contains("!Up!")).count() / 2
}

#[test]
fn two_batches_are_taken_over_with_their_registrations_and_a_call_up() {
    let env = operated(&[1101, 1102, 1103, 1104]);
    let phone = |number: u32| Phone::with(&env, number.to_string(), secret(number));
    let [first, second, third, fourth] = [1101, 1102, 1103, 1104].map(phone);
    for phone in [&first, &third, &fourth] {
        phone.registers();
    }
    let answering = second.answers();
    let call = first.calls("1102", Duration::from_secs(40));
    until("a call is up", || talking(&env) == 1);
    // SIPp ends after 20 seconds, whatever it does.
    let contacts = env.ask("database show registrar/contact");

    let import = "import --running --tenant acme --email-domain acme.example";
    let done = env.run(&format!("{import} --only 1101-1103 -o pbx.yaml --secrets acme.secrets --patch acme.patch"));
    let told = "note: the range 1101-1103 has no room for new users, because its numbers and those around it are in use, or \
                emergency numbers of a country: widen \
                `extensions.range`, or add a second range\n\
                Imported: 3 users; 3 secrets in `acme.secrets`; 0 things not carried over; 10 settings change\n";
    assert!(done.clone().expect(0).stderr.ends_with(told), "{}", done.text());
    env.hear("the patch", &fs::read_to_string(env.path("work/acme.patch")).unwrap());
    env.run("apply --no-reload --secrets acme.secrets").expect(0);
    patch(&env, &[], "acme.patch");
    let plan = env.run("plan").expect(0);
    let note = "3 phones that Asterisk still runs from your own files, which no longer define them, will be taken over by \
                the reload: 1101, 1102, 1103";
    assert!(plan.text().contains(note), "{}", plan.text());
    env.run("apply").expect(0);
    assert_eq!(registered(&env), ["1101", "1102", "1103", "1104"]);
    assert_eq!(env.ask("database show registrar/contact"), contacts);
    assert_eq!(talking(&env), 1);
    third.registers();
    drop(call);
    env.ask("channel request hangup all");
    until("the call is over", || talking(&env) == 0);
    assert!(env.run("plan").expect(0).stdout.contains("No changes"));

    // The include is in place: the sections go first, and one apply does all.
    let done = env.run(&format!("{import} -o more.yaml --secrets more.secrets --patch more.patch"));
    assert!(done.clone().expect(0).stderr.contains("\nImported: 1 user; "), "{}", done.text());
    let more = fs::read_to_string(env.path("work/more.yaml")).unwrap();
    let more = more.split_once("users:\n").unwrap().1;
    let pbx = fs::read_to_string(env.path("work/pbx.yaml")).unwrap().replace("1101-1103", "1101-1104");
    env.write("pbx.yaml", &format!("{pbx}{more}"));
    let refused = env.run("apply --secrets more.secrets").expect(3);
    assert!(refused.stderr.contains("the endpoint `1104` already runs in Asterisk"), "{}", refused.text());
    assert!(refused.stderr.contains("hint: remove it at pjsip.conf:"), "{}", refused.text());
    patch(&env, &[], "more.patch");
    drop(answering);
    let answering = second.picks_up();
    let call = first.calls("1102", Duration::from_secs(40));
    until("a call is up", || talking(&env) == 1);
    env.run("apply --secrets more.secrets").expect(0);
    assert_eq!(registered(&env), ["1101", "1102", "1103", "1104"]);
    assert_eq!(talking(&env), 1);
    assert!(env.run("plan").expect(0).stdout.contains("No changes"));
    drop((call, answering));
    for phone in [&first, &second, &third, &fourth] {
        phone.registers();
    }
}

/// Without `--secrets` both phones got generated secrets, and the plan said that registrations are kept.
#[test]
fn a_forgotten_file_of_secrets_stops_before_phones_are_locked_out() {
    let env = operated(&[1101, 1102]);
    let import = "import --running --tenant acme --email-domain acme.example";
    env.run(&format!("{import} -o pbx.yaml --secrets acme.secrets --patch acme.patch")).expect(0);
    patch(&env, &[], "acme.patch");
    let rail = "error[rail-relogins]: 2 phones would have to log in again (allowed 1)";
    let note = "note: 2 of them get another secret than now, and must log in again; `--secrets FILE` of the import keeps \
                the secrets of new users";
    for (command, status) in [("plan", 0), ("apply", 3)] {
        let stopped = env.run(command).expect(status);
        assert!(stopped.stderr.contains(rail) && stopped.text().contains(note), "{command}: {}", stopped.text());
    }
    assert!(!env.run("plan --secrets acme.secrets").expect(0).text().contains("must log in again"));
    // The same if the generated ones are recorded already.
    env.run("sync").expect(0);
    let stopped = env.run("apply --secrets acme.secrets").expect(3);
    let not_taken = "note: 1101@acme.example and 1 more are recorded with another secret than the one in `--secrets`";
    assert!(stopped.stderr.contains(rail) && stopped.text().contains(not_taken), "{}", stopped.text());
    let users = fs::read_to_string(env.path("work/pbx.yaml")).unwrap();
    env.write("none.yaml", &format!("{}users: []\n", users.split_once("users:\n").unwrap().0));
    env.run("sync -f none.yaml --allow deletes=2").expect(0);
    env.run("apply --secrets acme.secrets").expect(0);
    for number in [1101, 1102] {
        Phone::with(&env, number.to_string(), secret(number)).registers();
    }
}

/// The phones cannot be called until it is undone.
#[test]
fn a_failed_read_back_says_first_how_to_undo_the_patch() {
    let env = operated(&[1101]);
    let import = "import --running --tenant acme --email-domain acme.example";
    env.run(&format!("{import} -o pbx.yaml --secrets acme.secrets --patch acme.patch")).expect(0);
    patch(&env, &[], "acme.patch");
    // A mistake before our include: Asterisk reads nothing behind it.
    let pjsip = env.etc("pjsip.conf");
    let text = fs::read_to_string(&pjsip).unwrap();
    fs::write(&pjsip, text.replace("#tryinclude", "[mistake](none)\n#tryinclude")).unwrap();
    let failed = env.run("apply --secrets acme.secrets").expect(6);
    let hint = failed.stderr.split_once("\nhint: ").expect("a hint").1;
    assert!(
        hint.starts_with(
            "1 phone ran from sections of yours that your files no longer define. To bring them back, first undo the patch \
             (`patch -R -p1 < FILE` in the configuration folder), then run `asterisk -rx 'module reload res_pjsip.so'`\n"
        ),
        "{}",
        failed.text()
    );
    fs::write(&pjsip, text).unwrap();
    patch(&env, &["-R"], "acme.patch");
    env.ask("module reload res_pjsip.so");
    Phone::with(&env, "1101".to_owned(), secret(1101)).registers();
}
