"""Has the settings of CleanRL's dqn, a dataclass that tyro reads; it needs packages that need not be there."""

from dataclasses import dataclass
from pathlib import Path

import gymnasium_that_is_not_installed as gym
import tyro


@dataclass
class Args:
    exp_name: str = Path(__file__).stem
    """the name of this experiment"""
    seed: int = 1
    """seed of the experiment"""
    torch_deterministic: bool = True
    """if toggled, cudnn is deterministic"""
    cuda: bool = True
    """if toggled, cuda will be enabled"""
    track: bool = False
    """if toggled, this experiment will be tracked"""
    save_model: bool = False
    """whether to save the model"""
    env_id: str = "CartPole-v1"
    """the id of the environment"""
    total_timesteps: int = 500000
    """total timesteps of the experiments"""
    learning_rate: float = 2.5e-4
    """the learning rate of the optimizer"""
    num_envs: int = 1
    """the number of parallel environments"""
    buffer_size: int = 10000
    """the replay memory buffer size"""
    gamma: float = 0.99
    """the discount factor"""
    tau: float = 1.0
    """the target network update rate"""
    target_network_frequency: int = 500
    """timesteps between updates of the target network"""
    batch_size: int = 128
    """the batch size of a sample from the memory"""
    start_e: float = 1
    """the first epsilon of exploration"""
    end_e: float = 0.05
    """the last epsilon of exploration"""
    exploration_fraction: float = 0.5
    """the fraction of timesteps from the first to the last"""
    learning_starts: int = 10000
    """timestep to start learning"""
    train_frequency: int = 10
    """the frequency of training"""


if __name__ == "__main__":
    args = tyro.cli(Args)
    optimizer = gym.optim.Adam(lr=args.learning_rate)
    print(f"global_step={10}, episodic_return={21.0}")
