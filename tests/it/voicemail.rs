//! Voicemail on the real Asterisk: who hears which messages, whose lamp is lit, and what becomes of a box when its user
//! gets another number.

use std::{fs, thread, time::Duration};

use super::{
    phones::nothing_in_the_log,
    sipp::Phone,
    support::{TestEnv, until},
};

/// The operator's own way into a box, for tests without a route.
const LEAVE: &str = "[leave]\nexten => _7X,1,VoiceMail(${EXTEN:1}@acme-boxes,s)\n same => n,Hangup()\n";

/// A company whose users have these lines.
fn company(rest: &str, users: &[&str]) -> String {
    let users = users.iter().map(|user| format!("  - {{ {user} }}\n")).collect::<Vec<_>>().concat();
    format!(
        "version: 1\ntenant: acme\nextensions: {{ range: 1000-1999 }}\ndialplan: {{ include: [leave, outbound] }}\n\
         {rest}users:\n{users}"
    )
}

const ANA: &str = "email: ana@example.com, name: Ana, extension: 1000";
const BO: &str = "email: bo@example.com, name: Bo, extension: 1001";
const LOBBY: &str = "id: lobby, name: Lobby, extension: 1002";
const ALL: &str = "voicemail: { users: true, boxes: { info: { name: Info desk, lamps: [ana@example.com] } } }\n";

fn pbx() -> TestEnv {
    let env = TestEnv::with_asterisk();
    let own = fs::read_to_string(env.etc("extensions.conf")).expect("a file");
    fs::write(env.etc("extensions.conf"), own.replace("[outbound]", &format!("{LEAVE}[outbound]"))).expect("a file");
    env.ask("dialplan reload");
    env
}

#[track_caller]
fn apply(env: &TestEnv, rest: &str, users: &[&str]) -> String {
    env.write("pbx.yaml", &company(rest, users));
    env.run("apply --allow deletes=9 --allow boxes=9").expect(0).stdout
}

fn file(env: &TestEnv) -> String {
    fs::read_to_string(env.etc("voicemail.d/acme/generated_voicemail.conf")).expect("the voicemail file")
}

/// What `secret show` prints of a box: its number and its PIN.
#[track_caller]
fn mailbox(env: &TestEnv, whose: &str) -> (String, String) {
    let shown = env.run(&format!("secret show {whose} --format json")).expect(0).stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    let own = if shown["voicemail"].is_object() { &shown["voicemail"] } else { &shown };
    let text = |key: &str| own[key].as_str().expect("a text").to_owned();
    (text("box"), text("pin"))
}

/// How many messages wait in a box.
fn waiting(env: &TestEnv, number: &str) -> String {
    let shown = env.ask("voicemail show users for acme-boxes");
    let line = shown.lines().find(|line| line.starts_with(&format!("acme-boxes {number} "))).unwrap_or_default();
    line.split_whitespace().next_back().unwrap_or_default().to_owned()
}

/// Registers a phone that has a box, and takes what it is told about messages then, if it was not told before.
pub(crate) fn registers(phone: &Phone) {
    phone.registers();
    let lamp = phone.lamp();
    thread::sleep(Duration::from_secs(2));
    lamp.unplug();
}

fn asterisk_log(env: &TestEnv) -> String {
    thread::sleep(Duration::from_millis(200)); // its logger is a thread of its own
    fs::read_to_string(env.path("asterisk/log/full")).expect("a log")
}

#[test]
fn a_message_lights_the_lamp_and_is_heard_from_the_own_phone_alone() {
    let env = pbx();
    // The phones are there before their boxes: a lamp must not wait for the next registration.
    apply(&env, "", &[ANA, BO, LOBBY]);
    let [ana, bo, lobby] = ["ana@example.com", "bo@example.com", "lobby"].map(|user| Phone::of(&env, user));
    [&ana, &bo, &lobby].into_iter().for_each(Phone::registers);
    let applied = apply(&env, ALL, &[ANA, BO, LOBBY]);
    assert!(applied.contains("app_voicemail, res_pjsip, res_pjsip_mwi and dialplan reloaded"), "{applied}");
    let lamp = ana.lamp();

    bo.speaks("71", Duration::from_secs(4)).ends_well();
    until("the lamp is lit", || lamp.log().contains("Messages-Waiting: yes | Voice-Message: 1/0"));
    assert_eq!(["1", "2", "3"].map(|number| waiting(&env, number)), ["1", "0", "0"]);
    // The lamp shows the messages of the shared box as well.
    bo.speaks("73", Duration::from_secs(4)).ends_well();
    until("the lamp is lit", || lamp.log().contains("Messages-Waiting: yes | Voice-Message: 2/0"));
    lamp.unplug();

    ana.reaches("*97");
    bo.reaches("*97");
    lobby.is_told("404", "*97");
    nothing_in_the_log(&env);
    // Asterisk itself warns of a caller who hangs up while it asks for the box.
    lobby.reaches("*98");
    let log = asterisk_log(&env);
    for (phone, opened) in [("1000", "1@acme-boxes,s"), ("1001", "2@acme-boxes,s"), ("1002", "@acme-boxes")] {
        let is_opened = |line: &&str| line.contains(&format!("VoiceMailMain(\"PJSIP/{phone}-"));
        let lines: Vec<&str> = log.lines().filter(is_opened).collect();
        assert!(lines.len() == 1 && lines[0].contains(&format!("\"{opened}\"")), "{phone}: {lines:?}");
    }
}

/// Messages and greetings stand in folders that Asterisk names by the box: the next holder of the number heard them.
#[test]
fn a_box_stays_with_its_user_and_no_one_inherits_it() {
    let env = pbx();
    apply(&env, ALL, &[ANA, BO]);
    let bo = Phone::of(&env, "bo@example.com");
    bo.registers();
    bo.speaks("71", Duration::from_secs(4)).ends_well();
    until("the message is there", || waiting(&env, "1") == "1");
    let (before, greeting) = (mailbox(&env, "ana@example.com"), mailbox(&env, "info"));
    assert_eq!((before.0.as_str(), greeting.0.as_str()), ("1", "3"));
    assert!(file(&env).contains(&format!("\n1 => -{},Ana,ana@example.com,,", before.1)), "the PIN is that of the file");
    assert_eq!(before.1.len(), 5);

    // Ana gets another number, Cy gets hers, and Bo another address.
    let ana = ANA.replace("1000", "1005");
    let bo = BO.replace("bo@", "robert@") + ", previously: bo@example.com";
    apply(&env, ALL, &[&ana, &bo, "email: cy@example.com, name: Cy, extension: 1000"]);
    assert_eq!(mailbox(&env, "ana@example.com"), before);
    assert_eq!(mailbox(&env, "cy@example.com").0, "4");
    assert_eq!(mailbox(&env, "robert@example.com").0, "2");
    assert_eq!(["1", "4"].map(|number| waiting(&env, number)), ["1", "0"]);
    let endpoint = |number: &str| {
        let text = env.endpoints("acme");
        let (_, rest) = text.split_once(&format!("[{number}](acme-phone)\n")).expect("an endpoint");
        rest.split_once("\n\n").expect("an end").0.to_owned()
    };
    assert!(endpoint("1005").contains("mailboxes = 1@acme-boxes,3@acme-boxes\n@box = 1"), "{}", endpoint("1005"));
    assert!(endpoint("1000").contains("mailboxes = 4@acme-boxes\n@box = 4"), "{}", endpoint("1000"));
    env.run("plan --detailed-exitcode").expect(0);
    env.run("status --detailed-exitcode").expect(0);

    // Who was deleted comes back as another user, with another box. The file stays when there is no box any more.
    apply(&env, "", &[&bo]);
    assert!(!file(&env).contains("example.com"), "{}", file(&env));
    assert!(env.ask("voicemail show users for acme-boxes").contains("No such voicemail context"));
    apply(&env, ALL, &[ANA, &bo]);
    assert_eq!(["ana@example.com", "robert@example.com", "info"].map(|whose| mailbox(&env, whose).0), ["5", "2", "3"]);
    nothing_in_the_log(&env);
}

#[test]
fn a_pin_is_never_shown_and_an_edit_of_the_file_is_healed() {
    let env = pbx();
    apply(&env, ALL, &[ANA]);
    let (_, pin) = mailbox(&env, "ana@example.com");
    let whole = file(&env);
    let path = env.etc("voicemail.d/acme/generated_voicemail.conf");
    for (from, to) in [
        (format!("-{pin},"), "-99119,".to_owned()),
        (format!("-{pin},Ana"), format!("{pin},Ana")),
        ("\n1 => ".to_owned(), "\n;1 => ".to_owned()),
        ("\n1 => ".to_owned(), "\n[acme-boxes] 1 += ".to_owned()),
    ] {
        fs::write(&path, whole.replacen(&from, &to, 1)).expect("a file");
        let plan = env.run("plan --detailed-exitcode").expect(2);
        assert!(plan.stdout.contains("+1 => (sensitive),Ana,ana@example.com,,attach=yes"), "{}", plan.stdout);
        for format in ["text", "json", "markdown"] {
            let plan = env.run(&format!("plan --format {format}")).expect(0).stdout;
            assert!(!plan.contains(&pin) && !plan.contains("99119"), "{plan}");
        }
        let status = env.run("status --detailed-exitcode").expect(2).stdout;
        assert!(status.contains("generated_voicemail.conf was edited by hand") && !status.contains(&pin), "{status}");
        env.run("apply").expect(0);
        assert_eq!(file(&env), whole);
    }
    nothing_in_the_log(&env);
}

/// Asterisk pads the columns of its list of boxes: the boxes of a tenant with a short slug were taken for missing.
#[test]
fn the_boxes_of_a_tenant_with_a_short_slug_are_read_back() {
    let env = pbx();
    let long = "Zoë Müller, whose name has more bytes than Asterisk shows, and more than it reads at all: ß".to_owned();
    let named = format!("email: bo@example.com, name: \"{long}\"");
    let text = company(ALL, &["email: ana@example.com, name: Ana", &named]);
    for tenant in ["ab", "a-company-with-a-long-name"] {
        let slug = format!("tenant: {tenant}\nendpoint_names: tenant-extension\n");
        env.write("pbx.yaml", &text.replace("tenant: acme\n", &slug));
        env.run("apply").expect(0);
        env.run("plan --detailed-exitcode").expect(0);
    }
    nothing_in_the_log(&env);
}

/// By this option the boxes of one tenant took those of another away, and only the log of Asterisk said so.
#[test]
fn an_option_that_takes_boxes_of_other_tenants_away_is_reported() {
    let env = pbx();
    let own = fs::read_to_string(env.etc("voicemail.conf")).expect("a file");
    let note = "`searchcontexts` is set in voicemail.conf:2: Asterisk ignores boxes of one tenant";
    fs::write(env.etc("voicemail.conf"), own.replacen("[general]\n", "[general]\nsearchcontexts = yes\n", 1))
        .expect("a file");
    env.write("pbx.yaml", &company("", &[ANA]));
    assert!(!env.run("plan").expect(0).stdout.contains("searchcontexts"));
    env.write("pbx.yaml", &company(ALL, &[ANA]));
    for command in ["plan", "apply", "status"] {
        let said = env.run(command).expect(0).stdout;
        assert!(said.contains(note), "{command}: {said}");
    }
}

/// Of two boxes with one number Asterisk takes the first. An apply said that ours was live, and the operator's was.
#[test]
fn another_entry_under_the_number_of_a_box_is_an_error() {
    let env = pbx();
    apply(&env, ALL, &[ANA]);
    let own = fs::read_to_string(env.etc("voicemail.conf")).expect("a file");
    fs::write(env.etc("voicemail.conf"), format!("[acme-boxes]\n1 => 0000,Evil,evil@example.com\n{own}"))
        .expect("a file");
    env.run("secret rotate ana@example.com --pin").expect(0);
    let failed = env.run("apply").expect(6).stderr;
    assert!(
        failed.contains("another entry runs as the voicemail box `1` in Asterisk: a section `[acme-boxes]`"),
        "{failed}"
    );
    assert!(failed.contains("hint: voicemail.conf:1 changes `acme-boxes`, which reconcile generates"), "{failed}");
    let status = env.run("status --detailed-exitcode").expect(2).stdout;
    assert!(status.contains("another entry runs as the voicemail box `1`"), "{status}");
    fs::write(env.etc("voicemail.conf"), own).expect("a file");
    env.run("apply --again").expect(0);
    env.run("status --detailed-exitcode").expect(0);
}

/// A plain `#include` that finds nothing, or none: Asterisk would run without boxes, and say nothing.
#[test]
fn an_operators_file_that_does_not_include_the_boxes_is_reported() {
    let env = TestEnv::with_asterisk();
    fs::write(env.etc("voicemail.conf"), "[general]\nformat = wav\n").expect("a file");
    env.write("pbx.yaml", &company("", &[ANA]).replace("leave, ", ""));
    env.run("apply").expect(0);
    env.write("pbx.yaml", &company(ALL, &[ANA]).replace("leave, ", ""));
    let line = "`#tryinclude voicemail.d/*/generated_voicemail.conf` in `voicemail.conf`";
    for command in ["plan --detailed-exitcode", "apply"] {
        let stopped = env.run(command).expect(3).stderr;
        let rail = "error[rail-missing-includes]: `voicemail.conf` does not include the generated files of `acme`: Asterisk would not \
                    take them\n";
        assert!(stopped.contains(&format!("{rail}hint: add {line}")), "{stopped}");
    }
    let failed = env.run("apply --allow missing-includes=1").expect(6);
    assert!(failed.stderr.contains(line), "{}", failed.stderr);
    assert!(!env.endpoints("acme").contains("mailboxes"));
    fs::write(env.etc("voicemail.conf"), "#tryinclude voicemail.d/*/generated_voicemail.conf\n").expect("a file");
    env.run("apply --again").expect(0);
    env.run("plan --detailed-exitcode").expect(0);

    // Once there is no box any more, the line may go, too.
    env.write("pbx.yaml", &company("", &[ANA]).replace("leave, ", ""));
    let plan = env.run("plan").expect(0).stdout;
    assert!(plan.contains("note: voicemail boxes are removed: 1, 2; their messages and greetings stay"), "{plan}");
    env.run("apply --allow boxes=2").expect(0);
    fs::write(env.etc("voicemail.conf"), "[general]\nformat = wav\n").expect("a file");
    for command in ["plan --detailed-exitcode", "apply", "status --detailed-exitcode"] {
        env.run(command).expect(0);
    }
}

const DID: &str = "+15559876543";

/// How long a caller waits: behind the prompts some seconds are left for the message.
const CALL: Duration = Duration::from_secs(13);

/// A file that Asterisk takes for a greeting: a second of silence.
fn greeting(env: &TestEnv, number: &str, name: &str) {
    let samples = [0_u8; 16_000];
    let size = u32::try_from(samples.len()).expect("a size");
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + size).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(8000_u32.to_le_bytes());
    wav.extend(16_000_u32.to_le_bytes());
    wav.extend(b"\x02\0\x10\0data");
    wav.extend(size.to_le_bytes());
    wav.extend(samples);
    let folder = env.path("asterisk/spool/voicemail/acme-boxes").join(number);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(format!("{name}.wav")), wav).expect("a file");
}

/// How each call to a box began, in turn: the arguments of `VoiceMail`.
fn recorded(env: &TestEnv) -> Vec<String> {
    let log = asterisk_log(env);
    let steps = log.lines().filter_map(|line| line.split_once(" VoiceMail(\"")?.1.split_once("\", \""));
    steps.map(|(_, rest)| rest.split('"').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn callers_leave_a_message_if_the_route_says_so() {
    let env = pbx();
    let rules = format!(
        "trunks: {{ carrier: {{ host: 127.0.0.2 }} }}\npublic_sip_host: 127.0.0.1\n\
         inbound:\n  - {{ to: \"{DID}\", route: [bo@example.com, {{ voicemail: ana@example.com }}] }}\n\
         default_route: [info]\n"
    );
    apply(&env, &(ALL.to_owned() + &rules), &[ANA, BO]);
    let (carrier, bo) = (Phone::at(&env, "127.0.0.2"), Phone::of(&env, "bo@example.com"));

    // Nobody is registered: the next one is the box, which has no greeting.
    carrier.delivers_speech("+4917099999", DID, CALL).ends_well();
    until("the message is there", || waiting(&env, "1") == "1");
    let folder = env.path("asterisk/spool/voicemail/acme-boxes/1/INBOX");
    let about = fs::read_to_string(folder.join("msg0000.txt")).expect("what is said about the message");
    assert!(about.contains("callerid=\"From Outside\" <+4917099999>"), "{about}");

    // With greetings: that for busy if Bo is, and the other one otherwise. A greeting alone for unavailable serves both.
    registers(&bo);
    greeting(&env, "1", "unavail");
    let busy = bo.is_busy();
    carrier.delivers("+4917099999", DID);
    greeting(&env, "1", "busy");
    carrier.delivers("+4917099999", DID);
    busy.unplug();
    bo.unregisters();
    carrier.delivers("+4917099999", DID);

    // Any other number reaches the shared box; a provider reaches a box of a route by its name, and no other.
    carrier.delivers("+4917099999", "+15550000000");
    carrier.delivers("+4917099999", "voicemail-1");
    carrier.delivers("+4917099999", "voicemail-2");
    let shared = "3@acme-boxes";
    let own = ["1@acme-boxes", "1@acme-boxes,u", "1@acme-boxes,b", "1@acme-boxes,u"];
    // Who hangs up while a sound is played, never gets to the box.
    let begun = recorded(&env);
    assert_eq!(begun[..own.len().min(begun.len())], own);
    assert!(begun[own.len()..].iter().all(|one| one == shared || one == "1@acme-boxes,u"), "{begun:?}");
    nothing_in_the_log(&env);
}

/// Asterisk reads what is said about a message as one of its configuration files once somebody listens to it: a line
/// break in the number of the caller, or of who redirected the call, began an `#exec`, also if it came with a second INVITE
/// while the greeting was played.
#[test]
fn nothing_that_a_caller_sends_is_a_line_of_the_file_about_a_message() {
    let env = pbx();
    let rules = format!(
        "trunks: {{ carrier: {{ host: 127.0.0.2 }} }}\ninbound:\n  - {{ to: \"{DID}\", route: [{{ voicemail: ana@example.com }}] }}\n"
    );
    apply(&env, &(ALL.to_owned() + &rules), &[ANA, BO]);
    let carrier = Phone::at(&env, "127.0.0.2");
    let plain = "Diversion: <sip:+4917088888@h>;reason=user-busy";
    let calls = [
        ("\"x\" <sip:a%0a%23include%20evil.conf@h>", plain, "callerid=\"x\" <aincludeevil.conf>"),
        ("\"x;--y\" <sip:+4917099999@h>", plain, "callerid=+4917099999"),
        ("\"\" <sip:a%0aflag=Urgent@h>", plain, "callerid=aflagUrgent"),
        (
            "\"\u{c5}sa, B\" <sip:+4917099999@h>",
            "Diversion: \"d\" <sip:d%0a%23exec%20id@h>;reason=user-busy",
            "callerid=\"\u{c5}sa, B\" <+4917099999>",
        ),
    ];
    for (number, (from, header, told)) in calls.into_iter().enumerate() {
        carrier.delivers_speech_as(from, header, DID, CALL).ends_well();
        let path = env.path(&format!("asterisk/spool/voicemail/acme-boxes/1/INBOX/msg{number:04}.txt"));
        until("the message is there", || waiting(&env, "1") == (number + 1).to_string());
        let about = fs::read_to_string(path).expect("what is said about the message");
        let shown: Vec<&str> = about.lines().filter(|line| line.starts_with("callerid=")).collect();
        assert_eq!(shown, [told], "{about}");
        let is_ours =
            |line: &str| line.starts_with(';') || line == "[message]" || line.contains('=') || line.is_empty();
        assert!(about.lines().all(is_ours) && about.contains("\nrdnis=unknown\n"), "{about}");
        assert!(!about.contains("evil.conf\"") && !about.contains("\nflag=Urgent"), "{about}");
    }
    nothing_in_the_log(&env);
}

/// A colleague puts a caller through to a box whose greeting is being played: the channel that records the message is told
/// of another caller then.
#[test]
fn a_caller_who_is_put_through_to_a_box_is_no_line_of_the_file_about_the_message() {
    let env = pbx();
    let rules = format!(
        "trunks: {{ carrier: {{ host: 127.0.0.2 }} }}\ninbound:\n  - {{ to: \"{DID}\", route: [bo@example.com] }}\n"
    );
    apply(&env, &(ALL.to_owned() + &rules), &[ANA, BO]);
    let carrier = Phone::at(&env, "127.0.0.2");
    let [line, second_line] = [(); 2].map(|()| Phone::of(&env, "bo@example.com"));
    registers(&line);
    let asks = second_line.speaks("1000", CALL);
    until("the greeting is played", || asks.has_been_told("SIP/2.0 200 OK"));
    let _line = line.picks_up_and_puts_through("1000", &asks);
    // Without UPDATE, Asterisk would tell the caller of the new other side in an INVITE, which the script does not answer.
    let allow = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE";
    carrier.delivers_speech_as("\"x;--y\" <sip:a%0a%23include%20evil.conf@h>", allow, DID, CALL).ends_well();
    until("the message is there", || waiting(&env, "1") == "1");
    let path = env.path("asterisk/spool/voicemail/acme-boxes/1/INBOX/msg0000.txt");
    let about = fs::read_to_string(path).expect("what is said about the message");
    assert!(about.lines().any(|line| line.starts_with("callerid=") && line.contains("aincludeevil.conf")), "{about}");
    let is_ours = |line: &str| line.starts_with(';') || line == "[message]" || line.contains('=') || line.is_empty();
    assert!(about.lines().all(is_ours), "{about}");
    nothing_in_the_log(&env);
}

#[test]
fn an_unanswered_call_of_a_colleague_leaves_a_message() {
    let env = pbx();
    apply(&env, ALL, &[ANA, BO, LOBBY]);
    let bo = Phone::of(&env, "bo@example.com");
    bo.registers();
    bo.speaks("1000", CALL).ends_well();
    until("the message is there", || waiting(&env, "1") == "1");
    // Who is busy has a box as well, and a phone without a box is as it was.
    let ana = Phone::of(&env, "ana@example.com");
    registers(&ana);
    greeting(&env, "1", "busy");
    let busy = ana.is_busy();
    bo.reaches("1000");
    busy.unplug();
    bo.is_told("480", "1002");
    assert_eq!(recorded(&env), ["1@acme-boxes", "1@acme-boxes,b"]);
    nothing_in_the_log(&env);
}

#[test]
fn a_new_pin_is_live_with_the_next_apply() {
    let env = TestEnv::new();
    env.write("pbx.yaml", &company(ALL, &[ANA]));
    env.run("apply --no-reload").expect(0);
    for whose in ["ana@example.com", "info"] {
        let before = mailbox(&env, whose);
        let said = env.run(&format!("secret rotate {whose} --pin")).expect(0).stdout;
        let number = &before.0;
        assert!(said.starts_with(&format!("Rotated: the voicemail box {number} of {whose} has a new PIN, ")), "{said}");
        let after = mailbox(&env, whose);
        assert!(after.0 == before.0 && after.1 != before.1 && after.1.len() == 5);
        let note = "is not active yet";
        assert!(env.run(&format!("secret show {whose}")).expect(0).stderr.contains(note));
        let plan = env.run("plan --no-asterisk --detailed-exitcode").expect(2).stdout;
        let line = format!("\n-{number} => (sensitive),");
        assert!(plan.contains(&line) && plan.contains(&line.replace('-', "+")), "{plan}");
        assert!(plan.contains("1 file to write"), "{plan}");
        env.run("apply --no-reload").expect(0);
        assert!(file(&env).contains(&format!("\n{number} => -{},", after.1)));
        env.run("plan --no-asterisk --detailed-exitcode").expect(0);
        assert!(!env.run(&format!("secret show {whose}")).expect(0).stderr.contains(note));
    }
    let failed = env.run("secret rotate info").expect(1).stderr;
    assert!(failed.contains("`info` is a shared voicemail box") && failed.contains("rotate info --pin"), "{failed}");
    let failed = env.run("secret rotate nobody@example.com --pin").expect(1).stderr;
    assert!(failed.contains("`nobody@example.com` has no voicemail box"), "{failed}");
}
