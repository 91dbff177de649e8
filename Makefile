# Thin: every target is one command of tools/. PYTHON and ROS_DISTRO choose the environment.
.PHONY: help setup build demo test test-fast check bench fidelity simulators lock clean isaac isaac-demo test-isaac check-isaac doctor reference

help:
	@echo "make setup   environment, packages and colcon build; nothing if up to date"
	@echo "make demo    one episode: simulator, policy and mirror; leaves output/<time>/"
	@echo "make test    all tests, with their Debian packages if run as root"
	@echo "make test-fast  the tests that start no processes"
	@echo "make check   style, types and imports, without running anything; part of make test"
	@echo "make bench   speed against peers"
	@echo "make fidelity  link errors of the mirror over an episode in PhysX and in MuJoCo"
	@echo "make simulators  the demo in each simulator, as docs/images/simulators.png"
	@echo "make reference  write docs/reference from the sources"
	@echo "make doctor  look at this machine: what is missing, and the remedy"
	@echo "make isaac   Isaac Lab in .venv-isaac (8.2 GB), and the workspace built for it"
	@echo "make isaac-demo, test-isaac, check-isaac   the demo, the tests, the API check with Isaac"
	@echo "make lock    resolve requirements/*.in again"
	@echo "make clean   remove environments and builds"

setup build:
	@tools/setup

demo:
	@tools/setup
	@exec tools/launch launch/demo.launch.xml

check:
	@tools/setup --tests
	@exec tools/check

test:
	@tools/setup --tests --apt
	@tools/check
	@exec tools/run python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-fast:
	@tools/setup --tests
	@exec tools/run python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not process"

bench:
	@tools/setup --tests
	@exec tools/run python benchmarks/run.py

fidelity:
	@tools/setup --tests
	@exec tools/run python -m mujoco_mirror.fidelity src/policy_node/data/so101_pick_place.npz

simulators:
	@tools/setup
	@exec tools/contact_sheet

reference:
	@tools/setup
	@tools/reference

doctor:
	@tools/doctor

isaac:
	@tools/setup_isaac

isaac-demo:
	@tools/setup
	@tools/setup_isaac
	@tools/launch launch/isaac.launch.xml
	@exec tools/run_isaac python -m mujoco_mirror.fidelity src/policy_node/data/so101_pick_place.npz \
		--simulators isaac_lab --scene SO101PickPlace-JointPosition-v0

test-isaac:
	@tools/setup_isaac
	@tools/test_isaac

check-isaac:
	@tools/check_isaac_api.py --report docs/reference/isaac-api-report.md

lock:
	@tools/lock

clean:
	rm -rf .venv .venv-uv .venv-kilted .venv-ros .venv-system-* build build-* install install-* log
