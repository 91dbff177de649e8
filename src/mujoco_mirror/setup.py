from setuptools import find_packages, setup

package_name = "mujoco_mirror"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={
        "mujoco_mirror": ["py.typed"],
        "mujoco_mirror.monitor": ["static/*.*", "static/vendor/*.*"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    zip_safe=True,
    maintainer="Twinstep maintainers",
    maintainer_email="maintainers@twinstep.example",
    description="",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "film = mujoco_mirror.entry:film",
            "fidelity = mujoco_mirror.entry:fidelity",
            "mirror = mujoco_mirror.entry:mirror",
            "monitor = mujoco_mirror.entry:monitor",
        ],
    },
)
