"""Drivers of virtual machine monitors, each an implementation of `aether.ports.vmm.Vmm`.

qemu/       real microVMs on any Linux, unprivileged
simulated/  an instance is a small HTTP server in this process: for scale and policy tests

What both build on: `control` (the channel to the guest agent), `console` (bounded output),
`snapshot_files` (a snapshot's directory and key), `spec_json`, `end_latch`.
"""
