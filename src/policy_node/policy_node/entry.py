"""The programs of this package."""

from sim_bridge.entry import entry

policy_node = entry("policy_node.node.node")
rollout = entry("policy_node.rollout.node")
demo = entry("policy_node.demo.client")
record_trajectory = entry("policy_node.rollout.record_trajectory")
evaluate = entry("policy_node.evaluate.run")
collect = entry("policy_node.evaluate.collect")
collect_demonstrations = entry("policy_node.learn.collect")
train_policy = entry("policy_node.learn.train")
export_policy = entry("policy_node.learn.export")
report_policy = entry("policy_node.learn.report")
