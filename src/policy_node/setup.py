from glob import glob

from setuptools import find_packages, setup

package_name = "policy_node"
checkpoint = "checkpoints/so101_pick_place"

setup(
    name=package_name,
    version="0.1.0",
    packages=find_packages(exclude=["test"]),
    package_data={package_name: ["py.typed", "policies/servers/key_maps/*.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{package_name}"]),
        (f"share/{package_name}", ["package.xml"]),
        (f"share/{package_name}/{checkpoint}", glob(f"{checkpoint}/*")),
        (f"share/{package_name}/data", ["data/so101_pick_place.npz"]),
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
            "policy_node = policy_node.entry:policy_node",
            "rollout = policy_node.entry:rollout",
            "demo = policy_node.entry:demo",
            "record_trajectory = policy_node.entry:record_trajectory",
            "evaluate = policy_node.entry:evaluate",
            "collect = policy_node.entry:collect",
            "collect_demonstrations = policy_node.entry:collect_demonstrations",
            "train_policy = policy_node.entry:train_policy",
            "export_policy = policy_node.entry:export_policy",
            "report_policy = policy_node.entry:report_policy",
        ]
    },
)
