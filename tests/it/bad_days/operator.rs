//! What Asterisk refuses without a word: mistakes in the operator's own files, which the next
//! reload of ours activates, and damage done to ours behind the program's back.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
};

use reconcile::asterisk::{ConfigFile::Endpoints, PerFile};

use super::{
    Case, PUT_BACK, Stage, Stands, UNTOUCHED, case,
    day::{ANA, ANA_CHANGED, BO, CY, Day},
    live_through, skipped,
};
use crate::support::TestEnv;

const USERS: &[&str] = &[ANA, BO];
const MORE: &[&str] = &[ANA, BO, CY];

const ENDPOINTS: &str = "pjsip.d/acme/generated_endpoints.conf";
const ROUTING: &str = "extensions.d/acme/generated_routing.conf";

/// The words where the files that were good are refused as well, through no fault of theirs.
const NEITHER: &[&str] = &[
    "the endpoint mark of `pjsip.d/acme/generated_endpoints.conf` is not in the running Asterisk",
    "recorded: the rows are as declared",
    "rendered: the last good files were put back",
    "running: unknown, the read-back of these files also failed",
];

/// Recorded, put back, and Asterisk has lost our phones all the same.
const LOST: Stands = Stands {
    running: PerFile::all(Stage::Before).with(Endpoints, Stage::Nothing),
    audit: Some("not_live"),
    ..PUT_BACK
};

/// A mistake in one of the operator's files, when phones change.
fn mistake(name: &str, file: &'static str, edit: fn(&str) -> String) -> Case {
    case(name, USERS, MORE).goes_wrong(move |day| day.edit(file, &edit))
}

/// A mistake in one of the operator's files, when the dialplan changes too.
fn routing_mistake(name: &str, edit: fn(&str) -> String) -> Case {
    let mut case = mistake(name, "extensions.conf", edit);
    case.declared = case.declared.replace("[outbound]", "[outbound, parkedcalls]");
    case
}

/// Damage to the file of a tenant whose name comes before ours: it swallows all that follows.
fn neighbour(name: &str, text: &'static str) -> Case {
    case(name, USERS, MORE).goes_wrong(move |day| {
        let folder = day.env.etc("pjsip.d/aaa");
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("generated_endpoints.conf"), text).expect("a file");
        |_: &mut Day| fs::remove_dir_all(folder).expect("a folder")
    })
}

/// Puts lines before the one that includes our files.
fn before_ours(text: &str, lines: &str) -> String {
    let at = text.find("#tryinclude").expect("an include line");
    format!("{}{lines}\n{}", &text[..at], &text[at..])
}

/// Damage to one of our files that Asterisk was made to read, while the desired state stays.
fn damage(name: &str, damage: fn(&Day)) -> Case {
    case(name, USERS, USERS).goes_wrong(move |day| {
        damage(day);
        day.env.ask("module reload res_pjsip.so");
        day.env.ask("dialplan reload");
        |_: &mut Day| {}
    })
}

fn rewrite(day: &Day, file: &str, edit: impl Fn(&str) -> String) {
    let path = day.env.etc(file);
    let text = fs::read_to_string(&path).expect("a file");
    fs::write(path, edit(&text)).expect("a file");
}

fn cases() -> Vec<Case> {
    let duplicate = |kind: &str| {
        let secret = if kind == "auth" { "username = x\npassword = x\n" } else { "" };
        format!("\n[twice]\ntype = {kind}\n{secret}").repeat(2)
    };
    let duplicate_of = |name: &str, kind: &'static str, words: &'static [&'static str]| {
        case(name, USERS, MORE)
            .goes_wrong(move |day| day.edit("pjsip.conf", &|text| text.to_owned() + &duplicate(kind)))
            .sees(6, words)
            .stands(PUT_BACK)
    };
    vec![
        duplicate_of(
            "a duplicate endpoint in the operator's file",
            "endpoint",
            &[
                "the endpoint mark of",
                "its log: res_sorcery_config.c: Config file 'pjsip.conf' could not be loaded; configuration contains a \
             duplicate object: 'twice' of type 'endpoint'",
                "running: Asterisk runs them, read back",
                "then run `reconcile apply --again`",
            ],
        ),
        duplicate_of("a duplicate AOR in the operator's file", "aor", &["the aor mark of", "of type 'aor'"]),
        duplicate_of("a duplicate auth in the operator's file", "auth", &["the auth mark of", "of type 'auth'"]),
        mistake("an undefined template in the operator's file", "pjsip.conf", |text| {
            before_ours(text, "[x](nosuch)\ntype = endpoint")
        })
        .sees(6, &["its log: config.c: Inheritance requested, but category 'nosuch' does not exist"])
        .stands(PUT_BACK),
        neighbour("an undefined template in another tenant's file", "[x](nosuch)\ntype = endpoint\n")
            .sees(
                6,
                &[
                    "Inheritance requested, but category 'nosuch' does not exist",
                    "running: unknown, the read-back of these files also failed",
                ],
            )
            .stands(LOST),
        neighbour("an unclosed section in another tenant's file", "[x\n").sees(6, NEITHER).stands(LOST),
        mistake("an unclosed section in the operator's file", "pjsip.conf", |text| before_ours(text, "[x\ntype = aor"))
            .sees(6, &["its log: config.c: parse error: no closing ']'", "running: Asterisk runs them, read back"])
            .stands(PUT_BACK),
        mistake("an unterminated comment in the operator's file", "pjsip.conf", |text| before_ours(text, ";-- oops"))
            .sees(3, &["error[rail-missing-includes]: `pjsip.conf` does not include the generated files of `acme`: "])
            .stands(UNTOUCHED),
        mistake("an include of the operator's that leads nowhere", "pjsip.conf", |text| {
            text.to_owned() + "#include nosuch.conf\n"
        })
        .sees(
            6,
            &["The file 'nosuch.conf' was listed as a #include but it does not exist", "running: Asterisk runs them"],
        )
        .stands(PUT_BACK),
        mistake("the operator's include line is gone", "pjsip.conf", |text| text.replace("#tryinclude", ";"))
            .sees(
                3,
                &[
                    "error[rail-missing-includes]: `pjsip.conf` does not include the generated files of `acme`: a reload \
                     would leave Asterisk without their phones and trunks\n",
                    "hint: add `#tryinclude pjsip.d/*/generated_endpoints.conf` in `pjsip.conf`, outside of any comment; ",
                ],
            )
            .stands(UNTOUCHED),
        case("the operator's pjsip.conf is gone", USERS, MORE)
            .goes_wrong(|day| {
                let (here, away) = (day.env.etc("pjsip.conf"), day.env.path("away.conf"));
                fs::rename(&here, &away).expect("a file");
                move |_: &mut Day| fs::rename(away, here).expect("a file")
            })
            .sees(6, &["its log: res_sorcery_config.c: Unable to load config file 'pjsip.conf'"])
            .stands(PUT_BACK),
        mistake("a bad value in an object of the operator's own", "pjsip.conf", |text| {
            text.to_owned() + "\n[his]\ntype = aor\nmax_contacts = abc\n"
        }),
        mistake("a line without a value in the operator's file", "pjsip.conf", |text| {
            text.to_owned() + "\n[his]\nnonsense\n"
        }),
        case("the operator's file changes a phone of ours", USERS, &[ANA_CHANGED, BO])
            .goes_wrong(|day| day.edit("pjsip.conf", &|text| text.to_owned() + "\n[1000](+)\nrealm = elsewhere\n"))
            .sees(
                6,
                &[
                    "`realm` of `1000` has another value in the running Asterisk",
                    "changes `1000`, which reconcile generates: `realm`: remove that section",
                ],
            )
            .stands(PUT_BACK),
        case("the operator's file spoils a phone of ours", USERS, MORE)
            .goes_wrong(|day| day.edit("pjsip.conf", &|text| text.to_owned() + "\n[1002](+)\nauth_type = nonsense\n"))
            .sees(
                6,
                &["auths are missing in the running Asterisk: `1002`", "Could not create an object of type 'auth'"],
            )
            .stands(Stands {
                running: PerFile::all(Stage::Before).with(Endpoints, Stage::After),
                audit: Some("not_live"),
                ..PUT_BACK
            }),
        routing_mistake("an unclosed section in the operator's dialplan", |text| before_ours(text, "[x"))
            .sees(6, &["the dialplan mark of", "its log: config.c: parse error: no closing ']'"])
            .stands(PUT_BACK),
        routing_mistake("the operator's dialplan includes ours no more", |text| text.replace("#tryinclude", ";"))
            .sees(
                3,
                &[
                    "`extensions.conf` does not include the generated files of `acme`: ",
                    "hint: add `#tryinclude extensions.d/*/generated_routing.conf` in `extensions.conf`, ",
                ],
            )
            .stands(UNTOUCHED),
        mistake("a mistake in a dialplan that is not reloaded", "extensions.conf", |text| before_ours(text, "[x")),
    ]
}

fn damages() -> Vec<Case> {
    vec![
        damage("our file was cut short", |day| rewrite(day, ENDPOINTS, |text| text[..text.len() / 2].to_owned())),
        damage("our file lost its template", |day| {
            rewrite(day, ENDPOINTS, |text| text.replace("[acme-phone](!)", "[acme-lost](!)"));
        }),
        damage("our file names an option that Asterisk does not know", |day| {
            rewrite(day, ENDPOINTS, |text| text.replacen("max_contacts", "max_friends", 1));
        }),
        damage("our file is gone", |day| fs::remove_file(day.env.etc(ENDPOINTS)).expect("a file")),
        damage("our files were emptied", |day| {
            rewrite(day, ENDPOINTS, |_| String::new());
            rewrite(day, ROUTING, |_| String::new());
        }),
        damage("our folders are gone", |day| {
            for folder in ["pjsip.d/acme", "extensions.d/acme"] {
                fs::remove_dir_all(day.env.etc(folder)).expect("a folder");
            }
        }),
        damage("our file is a link to nowhere", |day| {
            fs::remove_file(day.env.etc(ENDPOINTS)).expect("a file");
            std::os::unix::fs::symlink("/nowhere", day.env.etc(ENDPOINTS)).expect("a link");
        }),
        case("our file is a folder", USERS, MORE)
            .goes_wrong(|day| {
                let path = day.env.etc(ENDPOINTS);
                fs::remove_file(&path).expect("a file");
                fs::create_dir(&path).expect("a folder");
                move |_: &mut Day| fs::remove_dir(path).expect("a folder")
            })
            .sees(
                1,
                &["error: cannot read `[test]/asterisk/etc/pjsip.d/acme/generated_endpoints.conf`: Is a directory"],
            )
            .stands(Stands { files: PerFile::all(Stage::Before).with(Endpoints, Stage::Nothing), ..UNTOUCHED }),
    ]
}

/// Files that Asterisk may not read: their objects are gone, and its log says nothing.
fn unreadable() -> Vec<Case> {
    let close = |day: &Day, name: &str, mode: u32| {
        let path = day.env.etc(name);
        if is_root() {
            chown(&path, Some(0), Some(0)).expect("an owner");
        }
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
    };
    vec![
        case("our file is closed to Asterisk", USERS, USERS).goes_wrong(move |day| {
            close(day, ENDPOINTS, 0o000);
            day.env.ask("module reload res_pjsip.so");
            |_: &mut Day| {}
        }),
        case("our file is closed to Asterisk, which has not noticed yet", USERS, MORE).goes_wrong(move |day| {
            close(day, ROUTING, 0o000);
            |_: &mut Day| {}
        }),
        case("our folder is closed to Asterisk", USERS, MORE)
            .goes_wrong(move |day| {
                close(day, "pjsip.d/acme", if is_root() { 0o700 } else { 0o200 });
                |day: &mut Day| {
                    let folder = day.env.etc("pjsip.d/acme");
                    fs::set_permissions(&folder, PermissionsExt::from_mode(0o750)).expect("a mode");
                    if is_root() {
                        chown(&folder, Some(NOBODY), Some(NOBODY)).expect("an owner");
                    }
                }
            })
            .sees(
                3,
                &[
                    "error[rail-unreadable-files]: Asterisk runs as the user `nobody`, who may not read \
                     `[test]/asterisk/etc/pjsip.d/acme`",
                    "hint: let its group read: chgrp ",
                ],
            )
            .stands(UNTOUCHED),
    ]
}

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("a process").uid() == 0
}

#[test]
fn files_that_asterisk_may_not_read() {
    if !is_root() {
        return skipped("unreadable", 3, "only root can run Asterisk as somebody else");
    }
    let mut env = TestEnv::new();
    env.start_asterisk_as("nobody");
    live_through("unreadable", &mut Day::on(env), &unreadable());
}

#[test]
fn mistakes_of_the_operator() {
    live_through("operator", &mut Day::new(), &cases());
}

#[test]
fn damage_to_our_files() {
    live_through("damage", &mut Day::new(), &damages());
}
