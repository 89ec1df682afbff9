//! What to do about an error.

/// An error that knows the next step of whoever reads it.
pub trait Hints: std::error::Error {
    /// Lists the next steps, in the order in which they are tried. Empty if the message says all.
    fn hints(&self) -> Vec<String>;
}
