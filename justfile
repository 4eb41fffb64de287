# Short names for the usual commands. CONTRIBUTING.md says more.

# List the recipes
default:
    @just --list

# Start the whole system on one machine, with arguments such as --ephemeral or --port 9100
run *arguments:
    cargo run -- {{arguments}}

# The fast loop: format, and lints of the whole workspace, or of one package (just check accounts)
check package="":
    cargo fmt --all
    cargo clippy {{ if package == "" { "--workspace" } else { "--package " + package } }} --all-targets --locked -- -D warnings

# Every test but those that need moto: the README's test command
test:
    cargo test --workspace

# Measure the figures of docs/performance.md; a group such as `flows` runs alone
bench *group:
    cargo bench --package tests --bench figures -- {{group}}

# All that CI runs; installs what is missing on a Debian machine
ci:
    .ci/run
