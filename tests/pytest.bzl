"""One py_test for each pytest file of a folder."""

def pytest_tests(deps, support = [], data = []):
    """Declares a test for every test_*.py beside the BUILD file.

    Args:
        deps: libraries that the tests import.
        support: the folder's other Python files (fixtures, helpers).
        data: files that the tests read.
    """
    for test in native.glob(["test_*.py"]):
        native.py_test(
            name = test[:-len(".py")],
            srcs = [test, "//tests:run_pytest.py"] + support,
            main = "//tests:run_pytest.py",
            args = ["$(rootpath %s)" % test],
            data = data,
            deps = deps + ["//tests:support"],
        )
