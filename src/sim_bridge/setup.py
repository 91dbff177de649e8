from setuptools import find_packages, setup

package_name = "sim_bridge"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={package_name: ["py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    zip_safe=True,
    maintainer="Twinstep maintainers",
    maintainer_email="maintainers@twinstep.example",
    description="Simulators on ROS 2, and the library that their clients share.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "sim_bridge = sim_bridge.entry:sim_bridge",
            "bridges = sim_bridge.entry:bridges",
            "replay = sim_bridge.entry:replay",
            "replay_server = sim_bridge.entry:replay_server",
        ]
    },
)
