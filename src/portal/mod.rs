//! Users made, deleted and given a new secret one by one; every secret sealed anew.
//!
//! Rows only: Asterisk follows with the next apply. Does not know HTTP, nor the command line.

mod reseal;
mod rotate;
mod rotate_pin;
mod users;
mod weak;

pub use reseal::{ResealError, reseal};
pub use rotate::{RotateError, Rotation, rotate};
pub use rotate_pin::rotate_pin;
pub use users::{CreateError, Created, DeleteError, NewUser, Portal, Refused, create, delete, is_made};
pub use weak::{Weak, rotate_weak, weak};
