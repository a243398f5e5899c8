//! Keeps what this process mounts to itself, so that nothing stays mounted when it ends, however it ends.

/// Gives this process mounts of its own. Without privileges nothing happens, and nothing will be mounted either. It must be
/// called while there is one thread only.
pub fn keep_private() {
    let root = c"/".as_ptr();
    // SAFETY: no pointers; it gives this thread, and those that it starts, mounts of their own.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return;
    }
    // SAFETY: the paths are C strings that live for ever, and the other pointers may be null.
    unsafe {
        libc::mount(std::ptr::null(), root, std::ptr::null(), libc::MS_REC | libc::MS_PRIVATE, std::ptr::null());
    }
}
