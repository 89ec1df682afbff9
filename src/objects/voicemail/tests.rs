//! Which boxes a file makes, and which numbers they get.

use crate::{
    desired::load_text,
    model::{Code, Severity},
    objects::Routes,
};

fn routes(rest: &str) -> Routes {
    let users = "users:\n  - { email: ana@example.com, name: Ana }\n  - { email: bo@example.com, name: Bo }\n  \
                 - { id: lobby, name: Lobby }\n";
    let loaded = load_text("pbx.yaml", &format!("version: 1\ntenant: acme\n{users}{rest}"));
    let problems: Vec<String> = loaded.problems.iter().map(|problem| problem.message.clone()).collect();
    loaded.declared.unwrap_or_else(|| panic!("{problems:?}")).routes
}

/// Lists the boxes, each with its number.
fn numbers(routes: &Routes) -> Vec<String> {
    let fields = |object: &dyn crate::objects::Object| {
        let fields = object.fields();
        let value = |key: &str| fields.iter().find(|(name, _)| *name == key).and_then(|(_, value)| value.clone());
        Some(format!("{} {}", value("number")?, value("user").or_else(|| value("name"))?))
    };
    let mut all: Vec<String> = routes.objects().values().filter_map(|object| fields(*object)).collect();
    all.sort();
    all
}

fn allocated(rest: &str, former: &Routes) -> Routes {
    let mut routes = routes(rest);
    routes.allocate(former, 0);
    routes
}

#[test]
fn users_with_an_address_have_a_box_and_phones_without_a_person_have_none() {
    let all = "voicemail: { users: true, boxes: { info: { name: Info desk } } }\n";
    assert_eq!(numbers(&allocated(all, &Routes::default())), ["1 ana@example.com", "2 bo@example.com", "3 Info desk"]);
    assert!(routes("").is_empty());
}

/// A new box never gets the messages of one that is gone. Who gets a box again has the former one: one line too few ended
/// all boxes for good.
#[test]
fn numbers_stay_with_their_users_and_names() {
    let both = allocated("voicemail: { users: true }\n", &Routes::default());
    let info = allocated("voicemail: { boxes: { info: { name: Info } } }\n", &both);
    assert_eq!(numbers(&info), ["3 Info"]);
    let none = allocated("", &info);
    assert_eq!(numbers(&none), [""; 0]);
    let again = allocated("voicemail: { users: true, boxes: { info: { name: Info }, desk: { name: Desk } } }\n", &none);
    assert_eq!(numbers(&again), ["1 ana@example.com", "2 bo@example.com", "3 Info", "4 Desk"]);
    let mut gone = none.clone();
    gone.forget_others(|| [crate::model::UserKey::of("bo@example.com")].into());
    let again = allocated("voicemail: { users: true, boxes: { info: { name: Info } } }\n", &gone);
    assert_eq!(
        numbers(&again),
        ["2 bo@example.com", "3 Info", "4 ana@example.com"],
        "not that of somebody of the address"
    );
    let same = allocated("voicemail: { users: true, boxes: { info: { name: Info } } }\n", &again);
    assert_eq!(same, again);
}

/// The operator deleted the row of the highest number.
#[test]
fn numbers_of_boxes_that_are_there_are_not_given_again_if_the_highest_is_lost() {
    let mut known = allocated("voicemail: { boxes: { info: { name: Info } } }\n", &Routes::default());
    known.last_box = None;
    let all = allocated("voicemail: { users: true, boxes: { info: { name: Info } } }\n", &known);
    assert_eq!(numbers(&all), ["1 Info", "2 ana@example.com", "3 bo@example.com"]);
}

/// A database was restored that knows fewer boxes than the files in place.
#[test]
fn numbers_of_files_in_place_are_not_given_again() {
    let known = allocated("voicemail: { boxes: { info: { name: Info } } }\n", &Routes::default());
    let mut all = routes("voicemail: { users: true, boxes: { info: { name: Info } } }\n");
    all.allocate(&known, 7);
    assert_eq!(numbers(&all), ["1 Info", "8 ana@example.com", "9 bo@example.com"]);
    let mut none = routes("");
    none.allocate(&Routes::default(), 7);
    assert_eq!(none.last_box.map(|numbers| numbers.last), Some(7));
}

#[test]
fn a_renamed_user_keeps_the_box() {
    let (ana, kim) = ("ana@example.com".parse().unwrap(), "kim@example.com".parse().unwrap());
    let both = allocated(
        "voicemail: { users: true, boxes: { info: { name: I, lamps: [ana@example.com] } } }\n",
        &Routes::default(),
    );
    let renamed = both.readdressed(&std::collections::BTreeMap::from([(
        crate::model::Email::key(&ana),
        crate::model::Email::key(&kim),
    )]));
    assert_eq!(numbers(&renamed), ["1 kim@example.com", "2 bo@example.com", "3 I"]);
}

/// The phones of a file whose `lamps` were too many for one line showed nothing.
#[test]
fn a_phone_shows_the_messages_of_so_many_boxes() {
    let problems = |boxes: usize, rest: &str| {
        let users = "users:\n  - { email: ana@example.com, name: Ana }\n  - { id: lobby, name: Lobby }\n";
        let lamps = "lamps: [ana@example.com, lobby]";
        let boxes = (0..boxes).map(|n| format!("    b{n}: {{ name: B, {lamps} }}\n")).collect::<Vec<_>>().concat();
        let text = format!("version: 1\ntenant: acme\n{users}voicemail:\n{rest}  boxes:\n{boxes}");
        load_text("pbx.yaml", &text).problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>()
    };
    let said = |user: &str| format!("the phone of `{user}` shows the messages of more than 40 boxes");
    assert_eq!(problems(40, ""), [""; 0]);
    assert_eq!(problems(40, "  users: true\n"), [said("ana@example.com")]);
    assert_eq!(problems(50, ""), [said("ana@example.com"), said("lobby")]);
}

/// A provider that called a box reached the phone of that name.
#[test]
fn no_phone_is_named_like_a_box() {
    let codes = |slug: &str, rest: &str| {
        let text = format!("version: 1\ntenant: {slug}\n{rest}users: [{{ email: ana@example.com, name: Ana }}]\n");
        load_text("pbx.yaml", &text).problems.into_iter().map(|problem| problem.code.as_str()).collect::<Vec<_>>()
    };
    let names = "endpoint_names: tenant-extension\n";
    for slug in ["voicemail", "voice-mail", "v-oicemail-1", "voicemail12"] {
        assert_eq!(codes(slug, names), ["reserved-name"], "{slug}");
        assert_eq!(codes(slug, ""), [""; 0], "{slug}");
    }
    for slug in ["acme", "voicemails", "voicemail-a", "a-voicemail"] {
        assert_eq!(codes(slug, names), [""; 0], "{slug}");
    }
}

/// Such an address was rendered as none, though the plan said that messages are mailed there.
#[test]
fn an_address_that_asterisk_would_take_for_two_gets_no_mail() {
    let problems = |rest: &str| {
        let users = "users:\n  - { email: a|b@example.com, name: Ana }\n";
        let text = format!("version: 1\ntenant: acme\n{users}voicemail:\n{rest}");
        let problems = load_text("pbx.yaml", &text).problems.into_iter();
        problems.map(|problem| (problem.severity, problem.code, problem.place.unwrap().line)).collect::<Vec<_>>()
    };
    let code = Code::InvalidEmail;
    assert_eq!(problems("  users: true\n"), [(Severity::Warning, code, 6)]);
    assert_eq!(problems("  users: true\n  mail: { users: false }\n"), []);
    let shared = "  boxes:\n    info: { name: Info, mail: a|b@example.com }\n";
    assert_eq!(problems(shared), [(Severity::Error, code, 7)]);
}
