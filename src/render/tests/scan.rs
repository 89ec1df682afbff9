//! A scan over rendered dialplans, as text: what callers and phones control stands nowhere but where it is copied,
//! shown or checked.

use super::{COMPANY, Digests, MENU, NO_ROUTES, Phone, Phonebook, QUEUE, ROOM, VOICEMAIL, into_own_dialplan};
use crate::{asterisk::ConfigFile, desired, model::Extension, objects::Routes};

/// What a caller or a phone wrote.
const FOREIGN: [&str; 5] = ["${CALLERID(", "${FROM_", "${CONTACT}", ",uri)}", "${CHANNEL(name"];

/// Fields and variables that may be set to it.
const COPIES: [&str; 7] =
    ["CALLERID(num)", "CALLERID(name)", "CALLERID(pres)", "FROM_NUMBER", "FROM_NAME", "FROM_SHOWN", "CONTACT"];

/// What functions get in its place: nothing in it can end their arguments.
const GUARD: &str = ",(),^)}";

/// Lists the steps of a dialplan: its context, application and arguments.
fn steps(text: &str) -> Vec<(&str, String, String)> {
    let mut context = "";
    let mut steps = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            context = name.trim_end_matches(']');
        }
        let Some((key, value)) = line.split_once(" => ") else { continue };
        let value = crate::asterisk::read_value(value);
        let after = if key.trim() == "same" { 1 } else { 2 };
        let step = value.splitn(after + 1, ',').nth(after).unwrap_or_default().to_owned();
        if key == "include" || value.contains(",hint,") {
            continue;
        }
        let (application, arguments) = step.split_once('(').expect("an application");
        let arguments = arguments.strip_suffix(')').expect("its arguments");
        steps.push((context, application.to_owned(), arguments.to_owned()));
    }
    steps
}

/// Names the function whose argument ends at this place.
fn enclosing(text: &str) -> &str {
    let mut open = 0_i32;
    for (at, c) in text.char_indices().rev() {
        match c {
            ')' => open += 1,
            '(' if open == 0 => return text[..at].rsplit(['{', '(', ',', ' ']).next().unwrap_or_default(),
            '(' => open -= 1,
            _ => {}
        }
    }
    ""
}

#[track_caller]
fn scan(text: &str) {
    assert!(!text.contains("PJSIP_DIAL_CONTACTS"), "{text}");
    let steps = steps(text);
    assert!(steps.len() > 10, "{text}");
    for (at, (context, application, arguments)) in steps.iter().enumerate() {
        let copied = arguments.split_once('=').filter(|(name, _)| application == "Set" && COPIES.contains(name));
        let dialled = ["${EXTEN", "CUT(EXTEN"].iter().filter(|_| context.ends_with("-inbound"));
        for foreign in FOREIGN.iter().chain(dialled) {
            for (place, found) in arguments.match_indices(foreign) {
                // What stands before a caller's name is ours, and plain.
                let plain = |c: char| c.is_alphanumeric() || " .:-_/+".contains(c);
                let name = copied.filter(|(name, _)| *name == "CALLERID(name)").map(|(_, value)| value);
                let prefixed = name
                    .and_then(|value| value.strip_suffix("${FROM_NAME}"))
                    .is_some_and(|prefix| prefix.chars().all(plain));
                let whole = prefixed
                    || copied.is_some_and(|(_, value)| value.starts_with("${") && !value.contains([',', '&']))
                    || copied.is_some_and(|(name, _)| name == "CONTACT");
                let checked = *foreign == "CUT(EXTEN" && enclosing(&arguments[..place]) == "REPLACE";
                // A contact joins the dial string right after its three checks.
                let admitted = *foreign == "${CONTACT}"
                    && arguments.starts_with("LINE=${LINE}&PJSIP/")
                    && at.checked_sub(3).is_some_and(|from| {
                        let before: String = steps[from..at].iter().map(|(_, _, text)| text.as_str()).collect();
                        before.contains("REGEX(\"^sips?:") && before.contains(";maddr") && before.contains("LEN(")
                    });
                assert!(whole || checked || admitted, "{found} in {context}: {application}({arguments})");
            }
        }
        for (place, _) in arguments.match_indices("REPLACE(") {
            let guarded = arguments[place..].find(GUARD).map(|end| &arguments[place..place + end]);
            assert!(guarded.is_some_and(|name| !name.contains('$')), "in {context}: {application}({arguments})");
        }
        // Asterisk removes backslashes from an expression, and quotes do not end it between brackets.
        for expression in arguments.split("REGEX(\"").skip(1).filter_map(|text| text.split_once('"')) {
            let expression = expression.0;
            let count = |c| expression.matches(c).count();
            assert!(!expression.contains('\\') && count('[') == count(']'), "in {context}: {expression}");
        }
        if application == "Dial" {
            let [line, seconds, options] = arguments.split(',').collect::<Vec<_>>()[..] else {
                panic!("{arguments}");
            };
            let records = line.strip_prefix("Local/${EXTEN}@").is_some_and(|to| to.ends_with("-message/n"));
            assert!(
                !line.contains("${") || line == "${LINE:1}" || records && context.ends_with("-voicemail"),
                "{line}"
            );
            let ours = seconds == "${ARG2}" && context.ends_with("-leg");
            assert!((ours || seconds.parse::<u32>().is_ok()) && options.starts_with('i'), "{arguments}");
        }
    }
}

#[test]
fn no_text_of_a_caller_or_phone_is_in_a_dial_string_an_option_or_a_list() {
    for file in [
        COMPANY.to_owned(),
        COMPANY.replace("hangup]", "info]") + VOICEMAIL,
        COMPANY.replace("hangup]", "board]") + ROOM,
        into_own_dialplan(),
        COMPANY.replace("hangup]", "main]") + MENU,
        COMPANY.replace("hangup]", "support]") + QUEUE,
        COMPANY.replace("tenant: acme\n", "tenant: acme\nendpoint_names: tenant-extension\n"),
        include_str!("../../../examples/synergycall/pbx.yaml").to_owned(),
        [
            include_str!("../../../examples/synergycall/pbx.yaml"),
            include_str!("../../../examples/inbound/inbound.yaml"),
        ]
        .concat(),
    ] {
        let loaded = desired::load_text("pbx.yaml", &file);
        let declared = loaded.declared.unwrap_or_else(|| panic!("a valid file: {file}"));
        let phones = declared.users.values().zip(1001_u32..).map(|(user, number)| Phone {
            email: &user.email,
            name: &user.name,
            extension: Extension::try_from(number).unwrap(),
            phone: &user.phone,
            no_answer: user.no_answer.as_deref(),
        });
        let phones: Vec<Phone<'_>> = phones.collect();
        let text = |routes: &Routes, phones: Vec<Phone<'_>>| {
            let (tenant, settings) = (&declared.tenant, &declared.settings);
            let book = Phonebook { tenant, settings, directory: None, phones, routes };
            book.files(Digests::Masked).unwrap()[ConfigFile::Routing].text.clone()
        };
        scan(&text(&NO_ROUTES, Vec::new()));
        let mut routes = declared.routes.clone();
        routes.allocate(&NO_ROUTES, 0);
        scan(&text(&routes, phones));
    }
}

/// The scan itself: each of these was rendered once, or could be.
#[test]
fn the_scan_finds_what_it_looks_for() {
    let rest = "[acme-inbound]\n".to_owned() + &"exten => 1,1,NoOp()\n".repeat(11);
    scan(&rest);
    for bad in [
        "Dial(${PJSIP_DIAL_CONTACTS(1001)},30)",
        "Dial(PJSIP/1001/${CONTACT},30,i)",
        "Dial(PJSIP/${EXTEN}@acme-trunk-carrier,30,iI)",
        "Dial(PJSIP/+4930@acme-trunk-carrier,30)",
        "Dial(PJSIP/+4930@acme-trunk-carrier,30,I)",
        "Set(LINE=${LINE}&PJSIP/1001/${CONTACT})",
        "GotoIf($[\"${CALLERID(num)}\" = \"1\"]?a)",
        "Gosub(acme-next,${FROM_NUMBER},1)",
        "MixMonitor(${CALLERID(num)}.wav)",
        "Set(CALLED=${EXTEN})",
        "Set(CALLED=${CUT(EXTEN,\\;,1)})",
        "GotoIf(${REGEX(\"^[a\\]]$\" ${REPLACE(CONTACT,(),^)})}?a)",
        "GotoIf(${REGEX(\"^[]a]$]\" ${REPLACE(CONTACT,(),^)})}?a)",
        "GotoIf(${REGEX(\"^1$\" ${CONTACT})}?a)",
        "GotoIf($[${LEN(${FROM_NAME})} > 1]?a)",
        "Set(CALLER=${FILTER(+0-9,${CALLERID(num)})})",
        "Set(CALLER=${FILTER(+0-9,${REPLACE(${CONTACT},(),^)})})",
        "Set(CALLER=${FILTER(+0-9,${REPLACE(CONTACT,a,b)})})",
    ] {
        let text = format!("{rest}exten => 2,1,{bad}\n");
        assert!(std::panic::catch_unwind(|| scan(&text)).is_err(), "{bad}");
    }
}
