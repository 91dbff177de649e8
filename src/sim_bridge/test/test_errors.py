"""``errors.py`` and ``Result.msg`` list the same codes under the same names."""

from sim_interfaces.msg import Result

from sim_bridge import errors


def codes():
    """Of the message, by name; all its constants are codes."""
    names = [name for name in dir(type(Result)) if name.isupper() and name[0] != "_"]
    return {name: getattr(Result, name) for name in names}


def test_each_code_has_one_error_of_its_name_and_the_other_way_round():
    wanted = {
        "".join(word.capitalize() for word in name.split("_")): code
        for name, code in codes().items()
        if name != "OK"
    }
    assert len(wanted) > 10
    assert {cls.__name__: cls.code for cls in errors.BridgeError.__subclasses__()} == wanted
    assert codes()["OK"] == errors.OK


def test_an_error_that_travelled_is_the_same_error():
    for name, code in codes().items():
        if name != "OK":
            error = errors.error_for(code, "why")
            assert type(error).code == code and str(error) == "why"
    assert isinstance(errors.error_for(250, "of a newer version"), errors.OperationFailed)
