"""What the test doubles share: TensorFlow Serving's rules on models and signatures.

Read in https://github.com/tensorflow/serving (July 2026); the file of each rule is
named beside it. The model itself is run as TensorFlow's C++ loader has loaded it.
"""

import numpy as np
import tensorflow as tf


class RefusedError(Exception):
    """A status that is not OK: the name of its code, and its message."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
        self.message = message


class ServedModels:
    """The models that a test double serves.

    Args:
        models: `{name: {version: kmtl.export._session.Session}}`; it may change.
        loading: Versions that are not available, with a state and a message.
    """

    def __init__(self, models, loading=()):
        self.models = models
        self.loading = dict(loading)

    def session(self, name, version):
        """Finds a version, the highest if none is named."""
        versions = self.models.get(name, {})
        if version is None and versions:
            version = max(versions)
        if version not in versions:
            # core/basic_manager.cc, and `DebugString` in core/manager.h
            asked = f"Specific({name}, {version})" if version else f"Latest({name})"
            raise RefusedError("NOT_FOUND", f"Servable not found for request: {asked}")
        return version, versions[version]

    def states(self, name):
        """Lists `(version, state, message)`: model_servers/get_model_status_impl.cc."""
        if name not in self.models:
            raise RefusedError(
                "NOT_FOUND", f"Could not find any versions of model {name}"
            )
        loaded = [(version, "AVAILABLE", "") for version in self.models[name]]
        return loaded + [(v, *state) for v, state in self.loading.items()]

    def predict(self, name, version, signature, inputs, outputs=()):
        """Runs a signature, as servables/tensorflow/predict_util.cc does."""
        version, session = self.session(name, version)
        signature = signature or "serving_default"
        if signature not in session.signatures:
            message = f'Serving signature key "{signature}" not found.'
            raise RefusedError("FAILED_PRECONDITION", message)
        definition = session.signatures[signature]
        _check_inputs(definition, inputs)
        for key in outputs:
            if key not in definition.outputs:
                raise RefusedError(
                    "INVALID_ARGUMENT",
                    f"output tensor alias not found in signature: {key}",
                )
        answer = session.run(signature, inputs)
        return version, {key: answer[key] for key in outputs or answer}


def _check_inputs(definition, inputs):
    if set(inputs) != set(definition.inputs):  # VerifyRequestInputsSize
        extra = set(inputs) - set(definition.inputs)
        missing = set(definition.inputs) - set(inputs)
        raise RefusedError(
            "INVALID_ARGUMENT",
            f"input size does not match signature: {len(inputs)}!="
            f"{len(definition.inputs)}. Sent extra: {extra}. "
            f"Missing but required: {missing}.",
        )
    for key, values in inputs.items():
        wanted = tf.as_dtype(definition.inputs[key].dtype)
        given = tf.as_dtype(np.asarray(values).dtype)
        if wanted != given:  # direct_session.cc of TensorFlow
            raise RefusedError(
                "INVALID_ARGUMENT",
                f"Expects {key} to be {wanted.name} but {given.name} is provided",
            )
