# Thin: every target is one command of tools/. PYTHON and ROS_DISTRO choose the environment.
.PHONY: help setup build demo test bench lock clean

help:
	@echo "make setup   environment, packages and colcon build; nothing if up to date"
	@echo "make demo    one episode: simulator, policy and mirror; leaves output/<time>/"
	@echo "make test    all tests, with their Debian packages if run as root"
	@echo "make bench   speed against peers"
	@echo "make lock    resolve requirements/*.in again"
	@echo "make clean   remove environments and builds"

setup build:
	@tools/setup

demo:
	@tools/setup
	@exec tools/launch launch/demo.launch.xml

test:
	@tools/setup --tests --apt
	@exec tools/run python -m pytest

bench:
	@tools/setup --tests
	@exec tools/run python -m benchmarks

lock:
	@tools/lock

clean:
	rm -rf .venv .venv-kilted .venv-system-* build build-* install install-* log
