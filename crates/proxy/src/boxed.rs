//! Values made on the heap, where they stay.

/// Makes a value in its box. `Box::new` makes it on the stack and copies it, all of it: of a future that has not begun, of which
/// nothing but its arguments is there yet, several KiB for each request.
#[inline]
pub(crate) fn boxed<T>(make: impl FnOnce() -> T) -> Box<T> {
    Box::write(Box::new_uninit(), make())
}
