//! What a file declares beside users and settings: objects, each of a kind.
//!
//! Pure: no file, clock or socket. Knows `model`, and the language of `asterisk` for what an object brings to the
//! files. Reading YAML is the business of `desired`, the decision about a call of `calls`, putting the files
//! together of `render`.

mod check;
mod counts;
pub(crate) mod destination;
pub(crate) mod dialer;
mod extension;
pub(crate) mod group;
pub(crate) mod hours;
mod keys;
mod kinds;
pub(crate) mod menu;
mod namespace;
mod object;
mod places;
pub(crate) mod queue;
mod render;
pub(crate) mod room;
pub(crate) mod rule;
mod set;
#[cfg(test)]
mod tests;
pub(crate) mod trunk;
mod user;
mod value;
pub(crate) mod voicemail;

pub(crate) use check::{Checked, KnownNames, Names, OfUsers, TargetList, check};
pub(crate) use counts::Counts;
pub use destination::{DefaultRoute, Target, TargetsOfRow};
pub(crate) use destination::{
    check::target,
    file::{TargetForm, TargetName},
    host_names, in_turn, with_users,
};
pub use dialer::Dialer;
pub use extension::{ExtensionClaim, NumberOwner};
pub(crate) use extension::{Lamp, Numbered};
pub use group::{Group, Member, Strategy};
pub use hours::{Hours, OpenRange, Timezone};
pub(crate) use menu::Choices;
pub use menu::Menu;
pub(crate) use object::{Fields, Object, RowsOfUsers};
pub use object::{Login, ObjectId, ObjectRow, UserOfRow};
pub use places::Places;
pub(crate) use queue::Waiting;
pub use queue::{Announcement, Queue, QueueStrategy};
pub(crate) use render::{Block, BoxEntry, Condition, Entrance, Parts, PhoneBoxes, QueueEntry, RenderContext};
pub use room::Room;
pub use rule::{Called, CallerMatch, Entry, Rule};
pub(crate) use rule::{Outcome, loops_by_variables};
pub(crate) use set::NO_ROUTES;
pub use set::Routes;
pub use trunk::Trunk;
pub(crate) use trunk::trunk_name;
pub(crate) use trunk::without_port;
pub use user::UserDocument;
pub(crate) use value::CALLER_ID;
pub use value::{DefaultCallerId, PublicSipHost};
pub use voicemail::{BoxOwner, Boxes, LastBox, Mailing, VoicemailBox};

use crate::model::{At, Host, Named};

kinds::kinds! {
    /// A SIP carrier.
    Trunk = "trunk" in trunks, counted "trunks" as "Trunks.", from
        /// SIP carriers.
        trunks: Named<trunk::file::Trunk>;
    /// A public number or a SIP address outside that calls can be sent to.
    Dialer = "dialer" in dialers, called "dialer", counted "dialers" as "Dialers.", from
        /// Where inbound calls can be sent to.
        dialers: Named<dialer::file::Dialer>;
    /// Several phones and outside numbers that get the same calls.
    Group = "group" in groups, called "group", counted "groups" as "Groups.", from
        /// Several phones and outside numbers that get the same calls.
        groups: Named<group::file::Group>;
    /// A voicemail box.
    Box = "box" in boxes, called "voicemail box", from
        /// Voicemail boxes.
        voicemail: voicemail::file::Voicemail;
    /// The highest number that a voicemail box ever had.
    LastBox = "last_box" in last_box;
    /// A conference room.
    Room = "room" in rooms, called "room", counted "rooms" as "Conference rooms.", from
        /// Conference rooms.
        rooms: Named<room::file::Room>;
    /// A menu.
    Menu = "menu" in menus, called "menu", counted "menus" as "Menus.", from
        /// Menus: the caller hears a prompt and presses a key.
        menus: Named<menu::file::Menu>;
    /// A queue.
    Queue = "queue" in queues, called "queue", counted "queues" as "Queues.", from
        /// Queues: callers wait until a member is free.
        queues: Named<queue::file::Queue>;
    /// Opening hours.
    Hours = "hours" in hours, from
        /// Opening hours.
        hours: Named<hours::file::OpeningHours>;
    /// A rule: who gets which inbound call.
    Route = "route" in rules, counted "routes" as "Rules.", from
        /// Who gets which inbound call. The order carries no meaning: the most specific rule decides.
        inbound: Vec<At<rule::file::InboundRule>>;
    /// Who gets a call that no rule is for.
    DefaultRoute = "default_route" in default_route, from
        /// Who gets an inbound call that no rule is for, tried in turn.
        #[schemars(with = "Option<Vec<TargetForm>>")]
        default_route: Vec<At<TargetName>>;
    /// The host at which users' phones are reached from outside.
    PublicSipHost = "public_sip_host" in public_sip_host, from
        /// The name under which the users' phones are reached from outside over SIP.
        public_sip_host: Host;
    /// The default caller ID.
    CallerId = "caller_id" in caller_id;
}
