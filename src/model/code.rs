//! The codes of problems: one list, from which the enum and the page that explains them are made.

use std::fmt;

/// Makes the enum. Each line has a code, what it means, and what to do, in Markdown whose links are those of
/// `docs/reference/diagnostics.md`.
macro_rules! codes {
    ($($name:ident $code:literal: $meaning:literal, $remedy:literal;)*) => {
        /// What is wrong with a desired state, as `check`, `plan` and the API report it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            /// All codes, by their text.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the text that is shown, such as `duplicate-email`. It stays the same in later versions.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// Returns what it means and what to do.
            pub const fn explained(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$name => ($meaning, $remedy),)*
                }
            }
        }
    };
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

codes! {
    BackwardsRange "backwards-range":
        "a range whose first number is larger than its last",
        "swap the two numbers";
    DuplicateCaller "duplicate-caller":
        "a rule that names the same callers twice",
        "remove one of the two";
    DuplicateCodec "duplicate-codec":
        "a codec that is listed twice",
        "remove one of the two";
    DuplicateEmail "duplicate-email":
        "two users with the same e-mail; upper and lower case do not matter",
        "remove one of the two, or give it its own e-mail";
    DuplicateKey "duplicate-key":
        "a key given twice, in one mapping or in two files of a folder; both places are shown",
        "remove one of the two";
    DuplicateName "duplicate-name":
        "two destinations of a route (phones by `id`, dialers, groups, voicemail boxes, rooms, menus, queues) with the same name; upper and lower case of an `id` do not matter; both places are shown",
        "rename one of them";
    DuplicatePin "duplicate-pin":
        "two users, groups, rooms, menus or queues pinned to one number; both places are shown",
        "pin one of them to another number, or to none";
    DuplicateTarget "duplicate-target":
        "a route that tries the same target twice, a group with the same member twice, or a user's `no_answer` that names the user",
        "remove one of the two";
    EmergencyNumber "emergency-number":
        "warning: a user, a group, a room, a menu or a queue is pinned to an emergency number, or, without `country`, the ranges cover [numbers that some country dials for help](#emergency-numbers); through the API such a pin is rejected",
        "pin another number; declare `country`";
    EmptyFile "empty-file":
        "a file without content; an empty file never means \"delete all\"",
        "write `users: []` if no user is meant";
    EmptyRoute "empty-route":
        "an empty list of targets, or a group without members",
        "name a target; `[hangup]` ends the call";
    FailedExpectation "failed-expectation":
        "an `expect` entry that does not hold",
        "run `reconcile trace` to see why; correct the rules or the entry";
    FileTooLarge "file-too-large":
        "a file of more than 64 MiB",
        "split it and pass the folder";
    GeneratedContext "generated-context":
        "`dialplan.include`, `phone.context` or a destination of calls names a context that is generated from this file; those of other tenants stop at `rail-taken-names`",
        "name contexts of your own only";
    GroupLoop "group-loop":
        "groups whose `no_answer` lists form a loop",
        "change one of these `no_answer` lists so that it does not lead back";
    IdentifyEverybody "identify-everybody":
        "a trunk whose `identify` is wider than a /8 of IPv4 or a /19 of IPv6, in one entry or in sum: Asterisk would treat phones and strangers as the carrier",
        "list the carrier's own addresses";
    IncompleteDialer "incomplete-dialer":
        "a dialer with neither `number` nor `sip`, or with both",
        "give it exactly one of them";
    IncompleteTrunk "incomplete-trunk":
        "a trunk that registers without user name and secret, or has only one of them",
        "add what is missing, or remove `register`";
    InvalidCallerName "invalid-caller-name":
        "a `caller_name` of a group that is empty, longer than 20 characters, or holds characters other than letters, digits, spaces and `. : - _ / +`",
        "write a short word, such as `\"Sales: \"`";
    InvalidDate "invalid-date":
        "not a date such as `2026-12-25`",
        "write year, month and day";
    InvalidDigit "invalid-digit":
        "a key of a menu that no phone has",
        "write one digit, `\"*\"` or `\"#\"`";
    InvalidEmail "invalid-email":
        "not an e-mail address as the HTML standard defines it (ASCII), or one with `|` for messages of a voicemail box (a warning at a user)",
        "write an international domain in its ASCII form, `xn--..`";
    InvalidExtension "invalid-extension":
        "not plain digits from 1 to 99999999: quoted, signed, with a dot, an exponent or a leading zero",
        "write the digits alone; numbers have no leading zero: `0200` is written, and dialled, as `200`";
    InvalidHold "invalid-hold":
        "not a number of days such as `30d`",
        "write digits and `d`";
    InvalidHost "invalid-host":
        "not the name or address of a host, or not a network such as `203.0.113.0/28`",
        "write a name, an address or a network";
    InvalidHours "invalid-hours":
        "not a weekly range such as `mon-fri 09:00-18:00`",
        "write days, a space, and two times";
    InvalidId "invalid-id":
        "an `id` of a phone that does not begin with a letter, has more than 70 characters, or has characters other than letters, digits and `_ . -`",
        "choose a name such as `lobby`; a person has `email` instead";
    InvalidLength "invalid-length":
        "not the length of a voicemail message such as `3m`, from 10 seconds to 60 minutes",
        "write digits and `s` or `m`";
    InvalidName "invalid-name":
        "a display name that is empty, longer than 255 characters, or holds control, text-direction or other [invisible characters](#names)",
        "remove what the hint names";
    InvalidNumber "invalid-number":
        "neither a public number in E.164 form such as `+15559876543`, nor the source of one",
        "write `+` and digits in quotes, or `{ env: NAME }`";
    InvalidObjectName "invalid-object-name":
        "a context, transport, realm, trunk, room, menu or queue with characters that Asterisk's configuration could misread, or the name of a trunk, a room, a menu or a queue over 40 characters",
        "use letters, digits and `_ . + -`; for a room, a menu or a queue, lower-case letters, digits and `_`";
    InvalidPrefix "invalid-prefix":
        "neither a prefix of callers' numbers such as `+49*`, nor `withheld`",
        "write `+`, digits and `*`";
    InvalidPrompt "invalid-prompt":
        "a prompt that is no path below Asterisk's `sounds` folder, or that has a language or an ending",
        "write it as `acme/welcome`: letters, digits and `_ - /`";
    InvalidRange "invalid-range":
        "not a range such as `1000-1999`, nor a list of such ranges",
        "write two numbers with a hyphen";
    InvalidRename "invalid-rename":
        "a `previously` that names the user itself, or an address or id that two users claim",
        "name the former address or id of this user; another user of the file may have that address or id now";
    InvalidRing "invalid-ring":
        "not a time to ring such as `30s`, from 5 to 600 seconds",
        "write digits and `s`";
    InvalidSecret "invalid-secret":
        "a secret that no phone could be given: empty, longer than 128 characters, or not printable ASCII; never quoted",
        "put another secret into its source";
    InvalidSip "invalid-sip":
        "not a SIP address such as `sip:user@host`",
        "write `sip:`, a user, `@` and a host";
    InvalidSource "invalid-source":
        "a `secret` that names no source, or an alias (`*name`) of something under a key that names a secret; the value is never shown, because it may be the secret itself",
        "write `{ env: NAME }` or `{ file: name }`, and replace the secret if it was pasted";
    InvalidTarget "invalid-target":
        "not a name that a dialer, group, room, menu, queue, member or user could have, or a mapping that is no destination",
        "write the name of a dialer, group, room, menu or queue, an e-mail, a phone's `id`, `hangup` or `busy`, `{ voicemail: .. }`, or `{ context: .., extension: .. }`";
    InvalidTenant "invalid-tenant":
        "a tenant slug with characters other than lower-case letters, digits and single hyphens",
        "choose such a slug";
    InvalidTime "invalid-time":
        "not a date and time with the offset from UTC, such as `2026-12-24T22:00+01:00`",
        "write date, `T`, time and offset";
    InvalidValue "invalid-value":
        "an invalid value for which there is no other code",
        "correct it as the message says";
    InvalidWait "invalid-wait":
        "a time to wait for a key that is not in whole seconds, or outside 1 to 60",
        "write it with its unit, such as `5s`";
    InvalidYaml "invalid-yaml":
        "text that is not YAML, or more than one document in a file",
        "correct it where the snippet points";
    LinkOutside "link-outside":
        "a path that leads [through a link out of its folder](#links), or out of the working directory if it is relative",
        "put the file itself there, or name the real path";
    LongName "long-name":
        "warning: a name of more than 79 bytes is cut where phones see it",
        "shorten it";
    LongRoute "long-route":
        "a route that tries 100 or more destinations in turn, including the members and the `no_answer` of groups",
        "shorten the chain";
    MenuLoop "menu-loop":
        "a menu to which a call comes back although the caller presses nothing",
        "change its `otherwise`, or `no_answer` of the group that it leads to";
    MissingFile "missing-file":
        "the file is not there, or the folder holds no `*.yaml`",
        "name it with `-f` or `RECONCILE_FILE`";
    MissingKey "missing-key":
        "a key that must be there; a user needs `email` or `id`",
        "add it";
    NeverOpen "never-open":
        "warning: a rule whose hours have no range, so they are never open",
        "give the hours a range, or remove the rule";
    NoCodec "no-codec":
        "`codecs` is empty",
        "name a codec, or remove the key";
    NoVoicemail "no-voicemail":
        "a destination `{ voicemail: .. }` that names a user without a voicemail box",
        "set `voicemail: true` at the user, or `voicemail.users: true`";
    NotDesiredState "not-desired-state":
        "a file that is not a mapping, or most of whose keys are unknown; its content is not shown",
        "name the right file";
    NotUtf8 "not-utf8":
        "bytes that are not UTF-8",
        "save the file as UTF-8";
    NumberOutsideRange "number-outside-range":
        "a user, a group, a room, a menu or a queue has a number outside `extensions.range`, because the range was narrowed; no number changes silently",
        "pin another number, or widen the range";
    NumberTaken "number-taken":
        "a public number that [another tenant](#numbers-of-another-tenant) of the same database has, recorded or applied: a call to it would be ambiguous",
        "first apply the other tenant's file without this number";
    OutOfBounds "out-of-bounds":
        "a number that is too small or too large for its key",
        "stay within the bounds that the message names";
    OverlappingRanges "overlapping-ranges":
        "two ranges of `extensions.range` that have a number in common; ranges are never merged, because their order is the order of allocation",
        "make them disjoint";
    OverlappingRoutes "overlapping-routes":
        "two rules that match the same calls at the same time; both places are shown",
        "make one more specific, or remove it";
    OverlappingTrunks "overlapping-trunks":
        "an address that identifies two trunks; both places are shown",
        "give it to one of them";
    PinOutsideRange "pin-outside-range":
        "a pinned number outside `extensions.range`",
        "pin another number, or widen the range";
    PinTaken "pin-taken":
        "a pinned number that another recorded user, a group, a room, a menu or a queue has",
        "pin another number, or renumber the other one in the same file";
    QueueLoop "queue-loop":
        "a queue to which a call comes back once it left it, although nobody chose that",
        "change its `timeout`, `empty` or `full`, or where these lead to";
    RangeExhausted "range-exhausted":
        "more users, groups, rooms, menus and queues than free numbers; says how many are missing",
        "widen `extensions.range`";
    RenameConflict "rename-conflict":
        "the present and the former address or id are both recorded",
        "remove `previously`, or delete one of the two users first";
    ReservedName "reserved-name":
        "a dialer, group, voicemail box, room, menu, queue or phone named `hangup`, `busy` or `default`, or a voicemail box whose name has only digits. With `endpoint_names: tenant-extension` also a tenant named `voicemail`, with or without digits after it and hyphens in it",
        "choose another name";
    RouteLoop "route-loop":
        "a dialer or a group that dials a number whose calls are routed to it. A dialer may also do so by a SIP address at `public_sip_host`, or by a number from a variable (only `plan` reports that)",
        "dial another number";
    SilentTrunk "silent-trunk":
        "warning: a trunk whose calls Asterisk cannot identify: its `host` is a name, and it has neither `identify` nor `register`",
        "add one of the two";
    TwoIdentities "two-identities":
        "a user with both `email` and `id`",
        "keep `email` for a person, `id` for a phone that belongs to nobody";
    UnknownCodec "unknown-codec":
        "not a codec of Asterisk 22",
        "choose one of those in [keys](keys.md)";
    UnknownCountry "unknown-country":
        "a `country` that is not an ISO 3166-1 code in upper case, such as `DE`",
        "write that code";
    UnknownKey "unknown-key":
        "a key that is not known in its place; what follows it is not shown",
        "correct its name, as the hint says";
    UnknownReference "unknown-reference":
        "a dialer, group, room, menu, queue, user, trunk or hours that are not declared",
        "declare it, or correct the name";
    UnknownTimezone "unknown-timezone":
        "not an IANA time zone",
        "write one such as `Europe/Berlin`";
    UnknownValue "unknown-value":
        "not one of the words that are possible here",
        "choose one of those in the message";
    UnknownVersion "unknown-version":
        "another `version` than 1",
        "write `version: 1`";
    UnreachableDialer "unreachable-dialer":
        "warning: a dialer or a group that Asterisk cannot reach, because it has no `trunk`. In a file with trunks: a route whose dialers all lack one, or a group with outside numbers that lacks one. In any file: such a dialer or group in a user's `no_answer`",
        "give one of the dialers, or the group, a `trunk`";
    UnreachableRoute "unreachable-route":
        "a rule, an `otherwise` or a target that no call can ever reach; as a warning, a `default_route` behind a rule for all calls",
        "remove it";
    UnreachableUser "unreachable-user":
        "warning: a call that comes through Twilio cannot reach a user's phone without `public_sip_host`. Reported only if the file uses Twilio: it has no trunk, or a dialer without `trunk`",
        "declare `public_sip_host`";
    UnreadableFile "unreadable-file":
        "the file or folder cannot be read",
        "check its mode and owner";
    UnusedVoicemail "unused-voicemail":
        "warning: `voicemail` is declared, and nobody has a box",
        "set `voicemail.users`, or `voicemail` at a user, or declare `voicemail.boxes`";
    WrongType "wrong-type":
        "a value of another type, such as text where a list is expected, or a telephone number without quotes, which YAML takes for a number",
        "write the type that the message names; put telephone numbers in quotes";
    YamlTooComplex "yaml-too-complex":
        "a file that nests deeper than 16 levels, or becomes too large when its aliases are expanded",
        "write it without such aliases";
}
