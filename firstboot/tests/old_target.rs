//! `ci/old-target` runs all tests under a filter that answers system calls newer than the target's kernel with ENOSYS.
//! Were it not in force, they would pass all the same; this one would not.

#[test]
#[ignore = "needs the filter of ci/old-target"]
fn this_program_is_static_and_its_children_are_under_the_filter() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!maps.contains("/ld-linux"), "a loader is at work, which the node's program has not:\n{maps}");
    let output = std::process::Command::new("cat").arg("/proc/self/status").output().unwrap();
    let status = String::from_utf8(output.stdout).unwrap();
    assert!(status.lines().any(|line| line == "Seccomp:\t2"), "no filter is in force:\n{status}");
}
