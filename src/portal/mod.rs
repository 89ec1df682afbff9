//! Users made, deleted and given a new secret one by one; every secret sealed anew.
//!
//! Rows only: Asterisk follows with the next apply. Does not know HTTP, nor the command line.

mod reseal;
mod rotate;
mod rotate_pin;
mod users;
mod weak;

pub use reseal::ResealError;
pub(crate) use reseal::reseal;
pub use rotate::{RotateError, Rotation, rotate};
pub(crate) use rotate_pin::rotate_pin;
pub(crate) use users::is_made;
pub use users::{CreateError, Created, DeleteError, NewUser, Portal, Refused, create, delete};
pub(crate) use weak::{Weak, rotate_weak, weak};
