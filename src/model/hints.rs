//! What to do about an error.

/// An error that knows the reader's next step.
pub trait Hints: std::error::Error {
    /// Lists the next steps, in the order in which they are tried. Empty if the message says all.
    fn hints(&self) -> Vec<String>;
}
