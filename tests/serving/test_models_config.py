"""`models.config` is what TensorFlow Serving reads, and never half of it."""

import pytest

from kmtl.serving._models_config import write_models_config


@pytest.fixture
def folder(tmp_path):
    """Two models, one with an unfinished version, and what is no model."""
    for version in ("clicks/1", "clicks/2", "prices/20240101"):
        (tmp_path / version).mkdir(parents=True)
        (tmp_path / version / "saved_model.pb").write_bytes(b"")
    for other in ("clicks/3", "clicks/.export-x", "notes/1", "empty"):
        (tmp_path / other).mkdir(parents=True)
    (tmp_path / "README.md").write_text("")
    return tmp_path


def parsed(path):
    """The file as TensorFlow Serving reads it."""
    pytest.importorskip("tensorflow_serving")
    from google.protobuf import text_format  # noqa: PLC0415
    from tensorflow_serving.config import model_server_config_pb2  # noqa: PLC0415

    message = model_server_config_pb2.ModelServerConfig()
    text_format.Parse(path.read_text(), message)
    return list(message.model_config_list.config)


def test_every_model_with_a_version_is_offered(folder):
    assert write_models_config(folder).read_text() == (
        "model_config_list {\n"
        "  config {\n"
        '    name: "clicks"\n'
        '    base_path: "/models/clicks"\n'
        '    model_platform: "tensorflow"\n'
        "  }\n"
        "  config {\n"
        '    name: "prices"\n'
        '    base_path: "/models/prices"\n'
        '    model_platform: "tensorflow"\n'
        "  }\n"
        "}\n"
    )


def test_versions_side_by_side(folder):
    clicks, prices = parsed(write_models_config(folder, versions={"clicks": [1, 2]}))
    assert list(clicks.model_version_policy.specific.versions) == [1, 2]
    assert not prices.HasField("model_version_policy")


@pytest.mark.parametrize("base_path", ["/srv/models/", "gs://bucket/models"])
def test_the_base_path_is_that_of_the_server(folder, base_path):
    config = parsed(write_models_config(folder, base_path=base_path))[0]
    assert config.base_path == f"{base_path.rstrip('/')}/clicks"
    assert config.model_platform == "tensorflow"


def test_any_name_of_a_folder_is_kept(tmp_path):
    name = 'a "quoted"\nnäme\\'
    (tmp_path / name / "1").mkdir(parents=True)
    (tmp_path / name / "1" / "saved_model.pb").write_bytes(b"")
    (config,) = parsed(write_models_config(tmp_path))
    assert (config.name, config.base_path) == (name, f"/models/{name}")


def test_the_file_is_replaced_whole(folder):
    first = write_models_config(folder, versions={"clicks": [1]}).stat()
    before = set(folder.iterdir())
    path = write_models_config(folder)
    assert "versions" not in path.read_text()
    assert path.stat().st_ino != first.st_ino  # another file, not this one rewritten
    assert set(folder.iterdir()) == before


def test_what_is_not_there_is_not_offered(folder, tmp_path):
    with pytest.raises(ValueError, match=r"unknown model.*'click'.*mean 'clicks'"):
        write_models_config(folder, versions={"click": [1]})
    with pytest.raises(ValueError, match=r"that are there: \[1, 2\].*Received: \[3\]"):
        write_models_config(folder, versions={"clicks": [3]})
    with pytest.raises(ValueError, match=r"that are there: \[1, 2\].*Received: \[\]"):
        write_models_config(folder, versions={"clicks": []})
    with pytest.raises(FileNotFoundError, match="`folder` must hold models"):
        write_models_config(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="`folder` must hold models"):
        write_models_config(tmp_path / "nowhere")


def test_a_relative_base_path_is_refused(folder):
    with pytest.raises(ValueError, match="`base_path` must be an absolute path"):
        write_models_config(folder, base_path="models")
