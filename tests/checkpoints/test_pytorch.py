import os
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from tf_n2uq import checkpoints, models

SMALL = {'input_shape': (64, 64, 3), 'classes': 5, 'width': 0.25}


class Block(nn.Module):
    """torchvision's BasicBlock, with its names."""

    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.downsample = None
        if stride != 1:
            convolution = nn.Conv2d(before, after, 1, stride, bias=False)
            self.downsample = nn.Sequential(convolution, nn.BatchNorm2d(after))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + shortcut)


class ResNet18(nn.Module):
    """torchvision's ResNet-18 at a quarter of its width, with its names."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        widths = (16, 16, 32, 64, 128)
        for stage in range(1, 5):
            before, after = widths[stage - 1], widths[stage]
            blocks = [Block(before, after, 1 if stage == 1 else 2), Block(after, after, 1)]
            setattr(self, f'layer{stage}', nn.Sequential(*blocks))
        self.fc = nn.Linear(128, 5)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = nn.functional.max_pool2d(x, 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(x.mean((2, 3)))


@pytest.fixture
def trained():
    """A float network with statistics of its own."""
    torch.manual_seed(0)
    network = ResNet18()
    network(torch.randn(8, 3, 64, 64))
    return network.eval()


def images():
    return np.random.default_rng(0).standard_normal((4, 64, 64, 3)).astype(np.float32)


@pytest.mark.parametrize('wrap', [dict, lambda d: {'state_dict': d, 'epoch': 3, 'best_acc1': 0.7}])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_a_float_checkpoint_file_gives_the_same_predictions(trained, wrap, prefix, tmp_path):
    state = {f'{prefix}{name}': value for name, value in trained.state_dict().items()}
    torch.save(wrap(state), tmp_path / 'checkpoint.pth.tar')
    model = models.build('resnet18', **SMALL)
    checkpoints.load_pytorch(model, tmp_path / 'checkpoint.pth.tar')
    with torch.no_grad():
        expected = trained(torch.from_numpy(images().transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(model.predict(images(), verbose=0), expected, atol=1e-4)


def test_a_saved_file_goes_back_to_pytorch(trained, tmp_path):
    model = models.build('resnet18', **SMALL)
    torch.save(trained.state_dict(), tmp_path / 'in.pth')
    checkpoints.load_pytorch(model, tmp_path / 'in.pth')
    checkpoints.save_pytorch(model, tmp_path / 'out.pth')
    state = torch.load(tmp_path / 'out.pth', weights_only=True)
    network = ResNet18()
    result = network.load_state_dict(state, strict=False)
    assert not result.missing_keys
    assert sorted(os.listdir(tmp_path)) == ['in.pth', 'out.pth']
    with torch.no_grad():
        outputs = network.eval()(torch.from_numpy(images().transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(model.predict(images(), verbose=0), outputs, atol=1e-4)


def test_an_existing_file_is_not_overwritten(tmp_path):
    path = tmp_path / 'mine.pth'
    path.write_bytes(b'mine')
    with pytest.raises(FileExistsError, match='path: expected a new file'):
        checkpoints.save_pytorch(models.build('resnet18', **SMALL), path)
    assert path.read_bytes() == b'mine'


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='path: expected a file in a folder that exists'):
        checkpoints.save_pytorch(models.build('resnet18', **SMALL), tmp_path / 'none' / 'out.pth')


def test_a_failed_save_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(tensors, path):
        with open(path, 'wb') as file:
            file.write(b'half')
        raise OSError('disk full')

    monkeypatch.setattr(torch, 'save', fail)
    with pytest.raises(OSError, match='disk full'):
        checkpoints.save_pytorch(models.build('resnet18', **SMALL), tmp_path / 'out.pth')
    assert os.listdir(tmp_path) == []


class Runs:
    """A pickle of this would make the folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize(
    'save', [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))]
)
def test_code_in_a_file_is_refused_and_not_run(save, tmp_path):
    victim = str(tmp_path / 'made')
    save({'state_dict': {'conv1.weight': Runs(victim)}}, tmp_path / 'evil.pth')
    with pytest.raises(ValueError, match='path: expected a PyTorch file of tensors'):
        checkpoints.read_pytorch(tmp_path / 'evil.pth')
    assert not os.path.exists(victim)


@pytest.mark.parametrize('content', [b'', b'not a checkpoint', b'PK\x03\x04 cut short'])
def test_a_damaged_file_is_named(content, tmp_path):
    path = tmp_path / 'damaged.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='path: expected a PyTorch file .*damaged.pth'):
        checkpoints.read_pytorch(path)


def test_a_download_that_was_cut_short_is_named(tmp_path):
    path = tmp_path / 'short.pth'
    # As PyTorch wrote files before 1.6: what its reader raises depends on where they end.
    torch.save({'a': torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    for length in range(1, len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match='path: expected a PyTorch file .*short.pth'):
            checkpoints.read_pytorch(path)


def test_the_error_does_not_advise_to_turn_the_protection_off(tmp_path):
    torch.save({'a': Runs('made')}, tmp_path / 'evil.pth')
    with pytest.raises(ValueError, match='posix.mkdir|nt.mkdir') as raised:
        checkpoints.read_pytorch(tmp_path / 'evil.pth')
    assert 'weights_only' not in str(raised.value)


def test_a_tensor_that_is_no_plain_array_is_named(tmp_path):
    torch.save({'fc.weight': torch.eye(2).to_sparse()}, tmp_path / 'sparse.pth')
    with pytest.raises(ValueError, match="path: expected plain tensors, got 'fc.weight' as .*spar"):
        checkpoints.read_pytorch(tmp_path / 'sparse.pth')


@pytest.mark.parametrize('content', [[1, 2], {}, {'epoch': 3}, {0: torch.zeros(2)}, torch.zeros(2)])
def test_a_file_without_a_state_dict_is_named(content, tmp_path):
    torch.save(content, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='path: expected a state dict'):
        checkpoints.read_pytorch(tmp_path / 'other.pth')


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='path: expected a PyTorch checkpoint'):
        checkpoints.read_pytorch(tmp_path / 'none.pth')


def test_half_precision_is_read_as_float32(tmp_path):
    torch.save({'a': torch.ones(2, dtype=torch.bfloat16)}, tmp_path / 'half.pth')
    assert checkpoints.read_pytorch(tmp_path / 'half.pth')['a'].dtype == np.float32
